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

// Check reports whether p implements the contract of the kind that it describes.
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
	return nil
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
