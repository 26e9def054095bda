package main

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"strings"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec that is wrapped
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/wire"
	"github.com/alys-node/alys/sdk/wire/pluginv1"
)

// rawAnswers are the modes of a plugin that is not built with the SDK: each answers every call of the contract with the
// bytes that its function gives. nil: with nothing, for ever.
var rawAnswers = map[string]func(method string) []byte{
	"hang-describe": func(string) []byte { return nil },
	"garbage-replies": func(string) []byte {
		b := make([]byte, 4096)
		_, _ = rand.Read(b)
		b[0] = 0x07 // a field of a wire type that does not exist
		return b
	},
	"huge": func(string) []byte { return make([]byte, wire.MaxMessageBytes+16<<20) },
	"is-an-engine": func(method string) []byte {
		if !strings.HasSuffix(method, "/Describe") {
			return []byte{}
		}
		b, _ := proto.Marshal(&pluginv1.DescribeResponse{Kind: string(lifecycle.Engine), Name: "liar", Version: "0.0.0"})
		return b
	},
}

// serveRaw is go-plugin without the SDK.
func serveRaw(answer func(method string) []byte) {
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  wire.Handshake(lifecycle.Signer),
		VersionedPlugins: map[int]goplugin.PluginSet{wire.ProtocolVersion: {string(lifecycle.Signer): nothing{}}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts,
				grpc.MaxSendMsgSize(1<<30), grpc.ForceServerCodecV2(frames{encoding.GetCodecV2("proto")}),
				grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
					method, _ := grpc.MethodFromServerStream(s)
					reply := answer(method)
					if reply == nil {
						select {}
					}
					return s.SendMsg(frame(reply))
				}))...)
		},
	})
	os.Exit(0)
}

// frame is a message that is sent as it is.
type frame []byte

// frames is the usual codec that sends frames as they are.
type frames struct{ encoding.CodecV2 }

// Marshal implements encoding.CodecV2.
func (f frames) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.(frame); ok {
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	return f.CodecV2.Marshal(v)
}

// nothing is a plugin without a service.
type nothing struct {
	goplugin.NetRPCUnsupportedPlugin
}

// GRPCServer implements goplugin.GRPCPlugin.
func (nothing) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error { return nil }

// GRPCClient implements goplugin.GRPCPlugin.
func (nothing) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("this is the plugin's side")
}
