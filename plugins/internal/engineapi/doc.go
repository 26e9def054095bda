// Package engineapi is a client of an execution client's JSON-RPC: the Engine API on its authenticated port, as
// execution-apis writes it (src/engine: common, authentication, paris, shanghai, cancun, prague), and the eth namespace.
//
// It is go-ethereum's own RPC client and types with what a node needs around them: a token made for each request, a
// deadline for each method, a limit on the size of an answer, the version of a method by the fork of its payload, and
// the specification's error codes as the errors of sdk/engine.
package engineapi
