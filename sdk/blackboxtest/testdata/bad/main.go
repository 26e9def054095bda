// Bad is a plugin that breaks one rule: the one that its file's name says after the last dash (bad-silent). It is
// linked or copied to as many names. Under the names good-signer, good-engine and good-sync it breaks none, but that its
// signer keeps nothing.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/enginetest"
	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugin"
	"github.com/alys-node/alys/sdk/signertest"
	"github.com/alys-node/alys/sdk/syncertest"
	"github.com/alys-node/alys/sdk/wire"
)

func main() {
	fault := strings.TrimPrefix(strings.TrimPrefix(filepath.Base(os.Args[0]), "bad-"), "good-")
	early(fault)
	newPlugin := func(log hclog.Logger) lifecycle.Plugin { return choose(fault, log) }
	switch fault {
	case "bare", "lingers", "noise", "future", "narrow":
		bare(fault, newPlugin(hclog.New(&hclog.LoggerOptions{JSONFormat: true})))
	default:
		plugin.Serve(newPlugin)
	}
}

// held stays open.
var held *os.File

// early is what goes wrong before the handshake.
func early(fault string) {
	h := wire.Handshake(lifecycle.Signer)
	switch fault {
	case "garbage":
		fmt.Println("Starting up, please wait …")
	case "silent":
		select {}
	case "elsewhere":
		_ = os.Setenv("PLUGIN_UNIX_SOCKET_DIR", os.Getenv("TMPDIR"))
	case "quiet":
		if os.Getenv(h.MagicCookieKey) == "" {
			os.Exit(0)
		}
	case "anykind":
		_ = os.Setenv(h.MagicCookieKey, h.MagicCookieValue)
	case "hardened":
		_ = keystore.Harden()
	case "opens":
		held, _ = os.Create(filepath.Join(os.Getenv("TMPDIR"), "open"))
	}
}

func choose(fault string, log hclog.Logger) lifecycle.Plugin {
	switch fault {
	case "engine", "lies":
		m, err := enginetest.NewMemory(nil)
		if err != nil {
			panic(err) // of a constant
		}
		if fault == "lies" {
			return enginetest.Lying{Memory: m, Height: 1}
		}
		return m
	case "sync":
		return syncertest.NewMemory()
	case "idle":
		return idle{syncertest.NewMemory()}
	}
	return &bad{Memory: signertest.NewMemory(chain.Hash{}, "a", "b"), fault: fault, log: log}
}

// bare serves with go-plugin alone, as who has read its documentation and not the SDK's: signals end it, nobody watches
// the host, and the order of the lifecycle is the plugin's own business.
func bare(fault string, p lifecycle.Plugin) {
	served := wire.Served(p)
	if fault == "future" {
		served[999] = served[wire.ProtocolVersion]
	}
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  wire.Handshake(p.Describe().Kind),
		VersionedPlugins: served,
		Logger:           hclog.NewNullLogger(),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			opts = append(opts, wire.ServerOptions()...)
			if fault == "narrow" {
				opts = append(opts, grpc.MaxRecvMsgSize(4<<20)) // gRPC's own default
			}
			return grpc.NewServer(opts...)
		},
	})
	if fault == "lingers" {
		select {}
	}
}

// printRaw prints past whatever os.Stdout and os.Stderr are now.
func printRaw(fd int, text string) { _, _ = syscall.Write(fd, []byte(text)) }
