package blackboxtest

import (
	"google.golang.org/grpc"

	"github.com/alys-node/alys/sdk/wire/pluginv1"
)

// maxFinding is the longest text of a finding that the node takes, in bytes.
const maxFinding = 64 << 10

// sendAnything lifts the client's own limits for one call.
func sendAnything() []grpc.CallOption {
	return []grpc.CallOption{grpc.MaxCallSendMsgSize(2 * hugeMessage), grpc.MaxCallRecvMsgSize(2 * hugeMessage)}
}

// hostOf is what a request tells of the node.
func hostOf(p *plug) *pluginv1.Host {
	h := p.host
	return &pluginv1.Host{
		Label: h.Label, Generation: h.Generation, DataDir: h.DataDir, RunDir: h.RunDir,
		ChainId: h.ChainID, Genesis: h.Genesis[:], GenesisJson: h.GenesisJSON,
	}
}
