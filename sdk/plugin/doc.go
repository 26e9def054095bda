// Package plugin runs a plugin. It is all that a plugin's main needs:
//
//	func main() { plugin.Serve(func(log hclog.Logger) lifecycle.Plugin { return newSigner(log) }) }
//
// Serve takes care of what every plugin must do and no author should have to write:
//
//   - the handshake with the node, with mutual TLS, and the services of the plugin's kind;
//   - the order of the lifecycle: a kind's methods fail with lifecycle.ErrNotConfigured before Configure has succeeded
//     and with lifecycle.ErrDraining once Drain was called, a second Configure fails with lifecycle.ErrConfigured, and
//     Drain waits for the calls that run before it reaches the author's Drain;
//   - signals: SIGINT and SIGTERM are ignored until the node has drained the plugin, so that a service manager that
//     signals the whole group does not take a signer away from under a node that is still shutting down;
//   - the node's death: a plugin whose parent is gone drains itself and ends;
//   - stray prints: what is printed to the standard output becomes a log line and cannot break the handshake;
//   - panics: a handler that panics answers with an error, and the stack is logged;
//   - a person who runs the binary by hand gets told what it is; the argument "describe" prints it as JSON.
package plugin
