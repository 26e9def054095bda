// Package wire carries the plugin contracts over gRPC: the handshake, the adapters in both directions and the errors.
//
// It is the only place where bytes meet types. Plugin authors use sdk/plugin and never this package; the node's host
// uses it to talk to the process that it started. Like a private package it may change with any release: the .proto
// files under proto/ are the contract, this Go is not.
//
// A plugin is not trusted. Every reply is checked for its shape before the host sees it (fixed lengths, a count equal
// to the request's, known enum values, sizes), and a reply of the wrong shape is a MalformedReplyError that names the
// plugin and the call. What a reply means, such as whether a signature verifies, is for the host to check.
//
// Errors keep their identity: a sentinel of a contract that a plugin returns is the same sentinel, by errors.Is, in the
// host, and again in a further hop (see EncodeError and CallError).
package wire
