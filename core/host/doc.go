// Package host runs plugins: it finds and checks their binaries, starts them as processes of their own, keeps them
// alive, and ends them without leaving a process, a socket or an open file behind.
//
// The words are those of the design. A *block* is a plugin block of alys.hcl, resolved. A *binary* is an executable
// that was hashed and copied into the data folder; only such copies run. A *generation* is one process of a block; its
// number counts up over the life of the data folder. An *instance* keeps one generation alive: it asks for health,
// replaces a dead or frozen generation after a growing pause, and gives up for a while (broken) when deaths come too
// often. A *probe* is a process that is asked questions and never configured.
//
// The life of a generation:
//
//  1. Stage: open the command, hash what was opened while copying it to DATA/plugins/SHA256, compare with the pin.
//  2. Start: own process group, empty stdin, only the environment that was asked for, dies with the host.
//  3. Handshake: one line on stdout, read and judged here, then gRPC over a unix socket with mutual TLS.
//  4. Describe (is it the right kind?), Configure, Health until it is ready or locked.
//  5. Serve: each call has a deadline, a place among the calls in flight, and is reported to the Observer.
//  6. Drain, a polite shutdown with a deadline, SIGTERM to the group, SIGKILL to the group, and the folder is removed.
//
// A plugin is not trusted: it gets no environment, what it prints is cut and rate-limited, what it says of itself is
// checked, and no call to it can hang. This is the only package of core that knows go-plugin; routes and swaps are
// built on Generation and Instance elsewhere.
package host
