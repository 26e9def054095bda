package plugintest

import (
	"context"
	"errors"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugin"
	"github.com/alys-node/alys/sdk/wire"
)

// Serve runs a plugin of the test's own process behind a real gRPC connection, configures it with an empty block and
// returns its client. The lifecycle's order is enforced as in a real plugin.
func Serve(t testing.TB, p lifecycle.Plugin) *wire.Client {
	t.Helper()
	return ServeWith(t, p, Options{})
}

// ServeWith is Serve with a configuration, a host or no Configure at all. Path, Kind and Env have no meaning here.
func ServeWith(t testing.TB, p lifecycle.Plugin, o Options) *wire.Client {
	t.Helper()
	c := wire.NewClient(dial(t, p), p.Describe().Kind, label(o))
	if o.Probe {
		return c
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	if err := bringUp(ctx, c, Config(t, o)); err != nil {
		t.Fatalf("bring up %s: %v", p.Describe().Name, err)
	}
	return c
}

// Conn is Serve for a test that makes its own requests: the bare connection to the configured plugin.
func Conn(t testing.TB, p lifecycle.Plugin) *grpc.ClientConn {
	t.Helper()
	conn := dial(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	if err := bringUp(ctx, wire.NewClient(conn, p.Describe().Kind, "test"), Config(t, Options{})); err != nil {
		t.Fatalf("bring up %s: %v", p.Describe().Name, err)
	}
	return conn
}

func dial(t testing.TB, p lifecycle.Plugin) *grpc.ClientConn {
	t.Helper()
	server, err := plugin.NewServer(p, newLog(t).logger())
	if err != nil {
		t.Fatal(err)
	}
	listener := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	options := append(wire.DialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
	)
	conn, err := grpc.NewClient("passthrough:///plugin", options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		server.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	return conn
}
