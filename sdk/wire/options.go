package wire

import (
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// MaxMessageBytes bounds one message in either direction, on both sides. gRPC's own default for servers, 4 MiB, is
// less than one full block.
const MaxMessageBytes = 64 << 20

// DefaultDeadline ends a call whose context has no deadline of its own, so that no call on a frozen plugin can wait for
// ever.
const DefaultDeadline = time.Minute

// The keepalive of a connection. The server permits pings three times as often as the client sends them; the other way
// round gRPC answers "too many pings" and closes the connection.
const (
	KeepaliveInterval = 30 * time.Second
	KeepaliveTimeout  = 10 * time.Second
)

// DialOptions are the host's options for a plugin's connection: limits, keepalive and trace context.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(MaxMessageBytes),
			grpc.MaxCallSendMsgSize(MaxMessageBytes),
		),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time:                KeepaliveInterval,
			Timeout:             KeepaliveTimeout,
			PermitWithoutStream: true,
		}),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler(otelgrpc.WithPropagators(propagation.TraceContext{}))),
	}
}

// ServerOptions are a plugin's options, to match DialOptions.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(MaxMessageBytes),
		grpc.MaxSendMsgSize(MaxMessageBytes),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime:             KeepaliveInterval / 3,
			PermitWithoutStream: true,
		}),
		grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithPropagators(propagation.TraceContext{}))),
	}
}
