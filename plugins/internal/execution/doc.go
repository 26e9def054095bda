// Package execution is what every way to execute payloads shares: the execution genesis with its fork schedule and the
// horizon of an engine, payloads in go-ethereum's form and back, the rules of a payload's shape, and the store of
// execution requests.
//
// It reaches no engine: the embedded geth and the client of an external one are built on it.
package execution
