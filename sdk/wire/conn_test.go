package wire_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/wire"
)

// conn is the connection to a plugin that is not ours: every call gets the same reply, made by hand.
type conn struct {
	reply func(into proto.Message) error // of a call, and of a stream's Recv until it gives io.EOF
	sent  []proto.Message                // on a stream
}

// Invoke implements grpc.ClientConnInterface.
func (c *conn) Invoke(_ context.Context, _ string, _, reply any, _ ...grpc.CallOption) error {
	return c.reply(reply.(proto.Message))
}

// NewStream implements grpc.ClientConnInterface.
func (c *conn) NewStream(ctx context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return &stream{c, ctx}, nil
}

type stream struct {
	c   *conn
	ctx context.Context
}

func (s *stream) Header() (metadata.MD, error) { return nil, nil }
func (s *stream) Trailer() metadata.MD         { return nil }
func (s *stream) CloseSend() error             { return nil }
func (s *stream) Context() context.Context     { return s.ctx }
func (s *stream) RecvMsg(m any) error          { return s.c.reply(m.(proto.Message)) }

func (s *stream) SendMsg(m any) error {
	s.c.sent = append(s.c.sent, proto.Clone(m.(proto.Message)))
	return nil
}

// replying answers every call with a copy of m.
func replying(m proto.Message) *conn {
	return &conn{reply: func(into proto.Message) error {
		proto.Merge(into, m)
		return nil
	}}
}

// streaming gives these messages, then the end of the stream.
func streaming(ms ...proto.Message) *conn {
	return &conn{reply: func(into proto.Message) error {
		if len(ms) == 0 {
			return io.EOF
		}
		proto.Merge(into, ms[0])
		ms = ms[1:]
		return nil
	}}
}

// failing answers every call with err.
func failing(err error) *conn { return &conn{reply: func(proto.Message) error { return err }} }

func client(c *conn, kind lifecycle.Kind) *wire.Client { return wire.NewClient(c, kind, "test") }

// wantMalformed wants an error that blames the reply of this call.
func wantMalformed(t *testing.T, err error, call string) {
	t.Helper()
	var malformed *wire.MalformedReplyError
	if !errors.As(err, &malformed) {
		t.Errorf("got error %v, want a malformed reply", err)
		return
	}
	if malformed.Call != call || malformed.Label != "test" {
		t.Errorf("the error blames %q of %q, want %q of \"test\"", malformed.Call, malformed.Label, call)
	}
}

// statusOf is a status with an ErrorInfo; without one when the reason cannot be carried.
func statusOf(reason, message string, code uint32) error {
	st := status.New(codes.Code(code), message)
	with, err := st.WithDetails(&errdetails.ErrorInfo{Domain: wire.ErrorDomain, Reason: reason})
	if err != nil {
		return st.Err()
	}
	return with.Err()
}
