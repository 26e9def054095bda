package local

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/internal/watermark"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
)

// Signer is the plugin. Nothing is opened before Configure.
type Signer struct {
	log    hclog.Logger
	served atomic.Uint64 // requests answered

	mu       sync.RWMutex // guards all below
	state    lifecycle.State
	calls    sync.WaitGroup // calls that run; added to under mu
	settings settings
	label    string // in alys.hcl
	genesis  chain.Hash
	keys     *keyring
	guard    *watermark.Guard
	bench    *bench // nil where the signer does not let itself be measured
}

// New makes a signer that is not configured.
func New(log hclog.Logger) *Signer { return &Signer{log: log} }

// Describe implements lifecycle.Plugin.
func (*Signer) Describe() lifecycle.Description {
	return lifecycle.Description{
		Kind: lifecycle.Signer, Name: "local", Version: "0.1.0", Deterministic: true,
		Capabilities: []lifecycle.Capability{
			lifecycle.CapBatch, lifecycle.CapFloor, lifecycle.CapKeyAdmin, lifecycle.CapUpdates,
		},
	}
}

// Configure implements lifecycle.Plugin.
func (s *Signer) Configure(ctx context.Context, c lifecycle.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != "" {
		return lifecycle.ErrConfigured
	}
	if err := keystore.Harden(); err != nil {
		s.log.Warn("the process could not be closed to debuggers and core dumps", "error", err)
	}
	set, dir, entries, err := load(c)
	if err != nil {
		return err
	}
	keys := newKeyring(dir, entries)
	if set.Unlock == unlockConfig {
		open := keys.unlock
		if len(entries) == 0 { // nothing confirms the password, and the operator wrote it down for the keys to come
			open = func(_ context.Context, password []byte) error { return keys.remember(password) }
		}
		if err := open(ctx, []byte(set.Password)); err != nil {
			keys.destroy()
			return fmt.Errorf("unlock %s: %w", set.Keystore, err)
		}
	}
	set.Password = ""
	guard, err := watermark.Open(guardDir(c.Host), c.Host.Genesis)
	if err != nil {
		keys.destroy()
		return fmt.Errorf("open the signer's guard: %w", err)
	}
	if set.Bench {
		if s.bench, err = openBench(c.Host); err != nil {
			keys.destroy()
			return errors.Join(err, guard.Close())
		}
	}
	for _, path := range guard.Cut() {
		s.log.Warn("an unfinished record at the end of a guard file was cut off; it was never answered", "file", path)
	}
	s.label = c.Host.Label
	s.settings, s.genesis, s.keys, s.guard, s.state = set, c.Host.Genesis, keys, guard, lifecycle.Ready
	s.log.Info("signer is up", "keys", len(entries), "locked", keys.locked())
	return nil
}

// Health implements lifecycle.Plugin.
func (s *Signer) Health(context.Context) (lifecycle.Health, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	h := lifecycle.Health{Progress: s.served.Load()}
	h.State, h.Message = s.readiness()
	return h, nil
}

// readiness is the state as the host sees it, and why. The caller holds mu.
func (s *Signer) readiness() (lifecycle.State, string) {
	if s.state == "" {
		return lifecycle.Starting, "not configured"
	}
	if s.state == lifecycle.Draining {
		return lifecycle.Draining, "draining"
	}
	if err := s.guard.Err(); err != nil {
		return lifecycle.Failed, err.Error()
	}
	locked, all := s.keys.locked(), len(s.keys.list())
	switch {
	case all == 0:
		with := "`alys keys new`"
		if s.settings.Unlock == unlockPrompt {
			with = newKeyCommand
		}
		return lifecycle.Degraded, "the keystore folder holds no keys: make one with " + with
	case locked == all:
		return lifecycle.Locked, fmt.Sprintf("%d keys wait for `alys keys unlock`", locked)
	case locked > 0:
		// Without a label the node unlocks a signer that is locked as a whole.
		return lifecycle.Degraded, fmt.Sprintf("%d of %d keys are sealed under another password: `alys keys unlock --plugin %s`", locked, all, s.label)
	}
	return lifecycle.Ready, ""
}

// Drain implements lifecycle.Plugin: it refuses new work, waits for what runs, wipes the keys and lets the guard go.
func (s *Signer) Drain(ctx context.Context) error {
	s.mu.Lock()
	if s.state == "" || s.state == lifecycle.Draining {
		s.state = lifecycle.Draining
		s.mu.Unlock()
		return nil
	}
	s.state = lifecycle.Draining
	s.mu.Unlock()

	idle := make(chan struct{})
	go func() { // ends with the last call
		s.calls.Wait()
		close(idle)
	}()
	var late error
	select {
	case <-idle:
	case <-ctx.Done():
		late = fmt.Errorf("calls still run: %w", ctx.Err())
	}
	s.keys.destroy()
	return errors.Join(late, s.guard.Close(), s.bench.close())
}

// begin registers a call; the caller calls done when it has answered.
func (s *Signer) begin() (done func(), err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.state == "" {
		return nil, lifecycle.ErrNotConfigured
	}
	if s.state == lifecycle.Draining {
		return nil, lifecycle.ErrDraining
	}
	s.calls.Add(1)
	return func() {
		s.served.Add(1)
		s.calls.Done()
	}, nil
}

var _ interface {
	lifecycle.Plugin
	lifecycle.PluginWithResources
	signer.Signer
	signer.SignerWithBatch
	signer.SignerWithFloor
	signer.SignerWithUpdates
	signer.SignerWithKeyAdmin
} = (*Signer)(nil)
