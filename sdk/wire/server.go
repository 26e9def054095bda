package wire

import (
	"fmt"

	"google.golang.org/grpc"

	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/syncer"
	"github.com/alys-node/alys/sdk/wire/enginev1"
	"github.com/alys-node/alys/sdk/wire/pluginv1"
	"github.com/alys-node/alys/sdk/wire/signerv1"
	"github.com/alys-node/alys/sdk/wire/syncerv1"
)

// Check reports whether p implements the contract of the kind that it describes, and has the methods of each capability
// that it names.
func Check(p lifecycle.Plugin) error {
	d := p.Describe()
	var ok bool
	var want string
	switch d.Kind {
	case lifecycle.Signer:
		_, ok = p.(signer.Signer)
		want = "signer.Signer"
	case lifecycle.Engine:
		_, ok = p.(engine.Engine)
		want = "engine.Engine"
	case lifecycle.Sync:
		_, ok = p.(syncer.Strategy)
		want = "syncer.Strategy"
	default:
		return fmt.Errorf("plugin %q describes itself as kind %q, want one of %v", d.Name, d.Kind, lifecycle.Kinds())
	}
	if !ok {
		return fmt.Errorf("plugin %q describes itself as kind %q, and %T does not implement %s", d.Name, d.Kind, p, want)
	}
	for _, c := range d.Capabilities {
		if want := missing(p, c); want != "" {
			return fmt.Errorf("plugin %q describes capability %q, and %T does not implement %s", d.Name, c, p, want)
		}
	}
	return nil
}

// missing names the optional interface of a capability that p does not have. A method with a slip in its signature
// would otherwise be unsupported in silence.
func missing(p lifecycle.Plugin, c lifecycle.Capability) string {
	var ok bool
	var want string
	switch c {
	case lifecycle.CapBatch:
		_, ok = p.(signer.SignerWithBatch)
		want = "signer.SignerWithBatch"
	case lifecycle.CapEvents:
		_, ok = p.(signer.SignerWithEvents)
		want = "signer.SignerWithEvents"
	case lifecycle.CapKeyAdmin:
		_, ok = p.(signer.SignerWithKeyAdmin)
		want = "signer.SignerWithKeyAdmin"
	case lifecycle.CapFloor:
		_, ok = p.(signer.SignerWithFloor)
		want = "signer.SignerWithFloor"
	case lifecycle.CapUpdates:
		_, ok = p.(signer.SignerWithUpdates)
		want = "signer.SignerWithUpdates"
	case lifecycle.CapPool:
		_, ok = p.(engine.EngineWithPool)
		want = "engine.EngineWithPool"
	default:
		return "" // says something of the plugin and needs no method, or is not known here
	}
	if ok {
		return ""
	}
	return want
}

// Register registers the services of a plugin: the common one and its kind's.
func Register(s grpc.ServiceRegistrar, p lifecycle.Plugin) error {
	if err := Check(p); err != nil {
		return err
	}
	pluginv1.RegisterPluginServer(s, &pluginServer{p: p})
	switch v := p.(type) {
	case signer.Signer:
		signerv1.RegisterSignerServer(s, &signerServer{s: v})
	case engine.Engine:
		enginev1.RegisterEngineServer(s, &engineServer{e: v})
	case syncer.Strategy:
		syncerv1.RegisterSyncerServer(s, &syncerServer{s: v})
	}
	return nil
}
