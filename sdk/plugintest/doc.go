// Package plugintest runs plugins in tests over real gRPC, as the node would.
//
// Start runs a compiled binary as a process of its own, with mutual TLS; Serve runs a plugin of the test's own process
// behind a real gRPC connection, for fakes. Both give a *wire.Client, so one test body serves both, and both end what
// they started at the test's cleanup.
package plugintest
