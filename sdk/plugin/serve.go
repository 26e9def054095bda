package plugin

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/wire"
)

// shutdownGrace bounds the author's Drain when the node ends the process without having drained it, or died. The node
// waits two seconds before it kills.
const shutdownGrace = 1500 * time.Millisecond

// Serve runs the plugin that newPlugin makes until the node ends it, and then exits the process. newPlugin must not
// open, lock or write anything: that is for Configure. Its logger writes to the node's log, under the plugin's name.
//
// What the process prints to its standard output from here on is logged. Do not print before Serve: that would take the
// place of the line by which the plugin tells the node where it listens.
//
// Run by hand, the process says what it is and exits with 1; with the argument "describe" (or "--version") it prints
// the plugin's description as JSON.
func Serve(newPlugin func(log hclog.Logger) lifecycle.Plugin) {
	os.Exit(run(newPlugin))
}

func run(newPlugin func(log hclog.Logger) lifecycle.Plugin) int {
	parent := os.Getppid() // at once: a node that dies from here on is noticed
	startedAs, hosted := startedAs(os.Getenv)
	log := newLogger(os.Stderr, hclog.Trace)
	if hosted {
		if err := guardStdout(log); err != nil {
			log.Error("cannot guard the standard output", "error", err)
			return 1
		}
	}
	p := newPlugin(log)
	if !hosted {
		return byHand(p, os.Args, output{os.Stdout, os.Stderr})
	}
	if err := checkKind(p, startedAs); err != nil {
		log.Error("cannot serve this plugin", "error", err)
		return 1
	}
	serve(p, log, parent)
	return 0
}

// serve blocks until the node has ended the plugin or is gone.
func serve(p lifecycle.Plugin, log hclog.Logger, parent int) {
	g := newGate()
	stop := make(chan struct{})
	go watchHost(g, log, parent, stop)

	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  wire.Handshake(p.Describe().Kind),
		VersionedPlugins: wire.Served(p),
		Logger:           newLogger(os.Stderr, hclog.Warn).Named("transport"),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			s := grpc.NewServer(append(opts, serverOptions(g, log)...)...)
			go func() {
				<-stop
				s.Stop()
			}()
			return s
		},
	})
	ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	if err := g.drain(ctx, p.Drain); err != nil {
		log.Error("drain at the end of the process", "error", err)
	}
}

// NewServer makes a gRPC server of a plugin with everything that Serve gives it but the process: the lifecycle's order,
// limits, trace context and recovery. It is for tests and for a plugin inside another program; the caller serves it.
func NewServer(p lifecycle.Plugin, log hclog.Logger, opts ...grpc.ServerOption) (*grpc.Server, error) {
	s := grpc.NewServer(append(opts, serverOptions(newGate(), log)...)...)
	if err := wire.Register(s, p); err != nil {
		return nil, err
	}
	return s, nil
}

func serverOptions(g *gate, log hclog.Logger) []grpc.ServerOption {
	r := recovery{log}
	return append(wire.ServerOptions(),
		grpc.ChainUnaryInterceptor(g.unary, r.unary),
		grpc.ChainStreamInterceptor(g.stream, r.stream),
	)
}

// newLogger writes lines of JSON, which the node reads back with their levels and fields and filters by its own level.
func newLogger(w io.Writer, level hclog.Level) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Level: level, Output: w, JSONFormat: true})
}
