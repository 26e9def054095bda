// Package admin is how an operator talks to a running node: JSON over HTTP on a unix socket in the data folder, which only
// the node's user may open. The CLI and the web console speak it.
//
// The socket is the authorization: whoever can open it runs the node. Nothing here is served on a network port except
// the read-only status that the console shows.
package admin
