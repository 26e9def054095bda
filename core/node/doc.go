// Package node puts a node together: it is the only package of core that knows all the others.
//
// wire.go says who feeds whom, order.go in which order they start and stop. The rest are the adapters between packages
// that do not know each other: a route's targets are the host's generations, the driver's engine is a route, its signer is
// the guard in front of a route.
package node
