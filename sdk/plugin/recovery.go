package plugin

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"github.com/alys-node/alys/sdk/wire"
)

// recovery turns a panic of a handler into an error of that call, so that one bad request does not take a signer's keys
// or an engine's memory down.
type recovery struct{ log hclog.Logger }

func (r recovery) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = r.report(info.FullMethod, v)
		}
	}()
	return next(ctx, req)
}

func (r recovery) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = r.report(info.FullMethod, v)
		}
	}()
	return next(srv, ss)
}

func (r recovery) report(method string, v any) error {
	r.log.Error("handler panicked", "method", method, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	return wire.EncodeError(fmt.Errorf("handler panicked: %v", v))
}
