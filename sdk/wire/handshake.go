package wire

import (
	"context"
	"net/rpc"
	"strings"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/alys-node/alys/sdk/lifecycle"
)

// ProtocolVersion is the version of the .proto files under proto/, negotiated at the handshake. An incompatible change
// of them is version 2, served beside version 1.
const ProtocolVersion = 1

// cookieValue is not a secret: it tells a plugin that a host started it. The key holds the kind.
const cookieValue = "0b7ce0a3-alys-plugin"

// Handshake is what host and plugin must agree on before anything else. The cookie's name holds the kind, so a plugin
// that was put under the wrong kind ends at once, with a message.
func Handshake(kind lifecycle.Kind) goplugin.HandshakeConfig {
	return goplugin.HandshakeConfig{
		ProtocolVersion:  ProtocolVersion,
		MagicCookieKey:   "ALYS_" + strings.ToUpper(string(kind)) + "_PLUGIN",
		MagicCookieValue: cookieValue,
	}
}

// Plugins is the host's plugin set of the current version: Dispense(string(kind)) gives a *Client labelled with the
// kind; the host gives it the plugin's label with WithLabel.
func Plugins(kind lifecycle.Kind) goplugin.PluginSet {
	return goplugin.PluginSet{string(kind): &grpcPlugin{kind: kind}}
}

// VersionedPlugins is Plugins for each protocol version that the host speaks.
func VersionedPlugins(kind lifecycle.Kind) map[int]goplugin.PluginSet {
	return map[int]goplugin.PluginSet{ProtocolVersion: Plugins(kind)}
}

// Served is the plugin's own set for each version that it speaks. p implements the contract of its kind (see Check).
func Served(p lifecycle.Plugin) map[int]goplugin.PluginSet {
	kind := p.Describe().Kind
	return map[int]goplugin.PluginSet{
		ProtocolVersion: {string(kind): &grpcPlugin{kind: kind, served: p}},
	}
}

// grpcPlugin is go-plugin's view of a plugin: the server's side when served is set, else the client's.
type grpcPlugin struct {
	kind   lifecycle.Kind
	served lifecycle.Plugin
}

// GRPCServer registers the services of the plugin.
func (g *grpcPlugin) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	return Register(s, g.served)
}

// GRPCClient gives a *Client.
func (g *grpcPlugin) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return NewClient(conn, g.kind, string(g.kind)), nil
}

// Server refuses net/rpc, which go-plugin asks for by interface.
func (*grpcPlugin) Server(b *goplugin.MuxBroker) (any, error) {
	return goplugin.NetRPCUnsupportedPlugin{}.Server(b)
}

// Client refuses net/rpc, which go-plugin asks for by interface.
func (*grpcPlugin) Client(b *goplugin.MuxBroker, c *rpc.Client) (any, error) {
	return goplugin.NetRPCUnsupportedPlugin{}.Client(b, c)
}
