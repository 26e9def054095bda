package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/schema"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/signertest"
	"github.com/alys-node/alys/sdk/syncer"
	"github.com/alys-node/alys/sdk/syncertest"
)

// bad is a signer in memory with one fault.
type bad struct {
	*signertest.Memory
	fault string
	log   hclog.Logger
	calls atomic.Int64
	held  []*os.File
}

// Describe implements lifecycle.Plugin.
func (b *bad) Describe() lifecycle.Description {
	d := b.Memory.Describe()
	switch b.fault {
	case "moody":
		d.Version = fmt.Sprintf("1.0.%d", b.calls.Add(1))
	case "unversioned":
		d.Version = "latest"
	}
	return d
}

type config struct {
	Password string  `json:"password"`
	Count    uint8   `json:"count"`
	Login    []login `json:"login"`
}

type login struct {
	Token string `json:"token"`
}

// Schema implements lifecycle.Plugin.
func (b *bad) Schema() schema.Block {
	s := schema.Block{Attributes: []schema.Attribute{
		{
			Name: "password", Type: schema.String, Required: b.fault == "needs", Sensitive: b.fault != "open",
			Doc: map[bool]string{false: "A word.", true: ""}[b.fault == "undocumented"],
		},
		{Name: "count", Type: schema.Number, Doc: "A number."},
	}}
	if b.fault == "nested" {
		s.Blocks = []schema.Block{{Name: "login", Repeated: true, Doc: "Who comes in.", Attributes: []schema.Attribute{
			{Name: "token", Type: schema.String, Sensitive: true, Doc: "A word."},
		}}}
	}
	return s
}

// Validate implements lifecycle.Plugin.
func (b *bad) Validate(_ context.Context, c lifecycle.Config) diag.Diagnostics {
	var v config
	err := c.Decode(&v)
	switch b.fault {
	case "credulous":
		return nil
	case "eager":
		_ = os.MkdirAll(c.Host.DataDir, 0o700)
	case "fragile":
		if err != nil {
			os.Exit(3)
		}
	case "small":
		if len(c.JSON) > 16<<20 {
			os.Exit(3)
		}
	case "parrot":
		if err != nil {
			return diag.Diagnostics{diag.Errorf(nil, "", "cannot use %s", c.JSON)}
		}
	case "pathless":
		if err != nil {
			return diag.Diagnostics{diag.Errorf(nil, "", "%s", err)}
		}
	case "lost":
		if err != nil {
			return diag.Diagnostics{diag.Errorf([]string{"cuont"}, "", "%s", err)}
		}
	}
	return c.Check(&v)
}

// Configure implements lifecycle.Plugin.
func (b *bad) Configure(ctx context.Context, c lifecycle.Config) error {
	var v config
	if err := c.Decode(&v); err != nil && b.fault != "half" && b.fault != "credulous" {
		return err
	}
	if err := b.misconfigure(ctx, c.Host.DataDir, v); err != nil {
		return err
	}
	c.JSON = []byte("{}")
	return b.Memory.Configure(ctx, c)
}

func (b *bad) misconfigure(ctx context.Context, dir string, v config) error {
	switch b.fault {
	case "refuses":
		return signer.ErrUnavailable
	case "singleton":
		_, err := (&net.ListenConfig{}).Listen(ctx, "unix", fmt.Sprintf("@alys-bad-singleton-%d", os.Getuid()))
		return err
	case "stale":
		f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, os.ErrExist) {
			return fmt.Errorf("another process runs on %s: %w", dir, err)
		}
		return errors.Join(err, f.Close())
	case "plainlog":
		printRaw(2, "configured\n")
	case "telltale", "escapes":
		b.log.Info("configured", "password", v.Password)
	case "nested":
		b.log.Info("configured", "token", v.Login[1].Token)
	case "noise":
		printRaw(1, "configured\n")
	case "litters":
		_, err := os.CreateTemp(os.Getenv("TMPDIR"), "cache")
		return err
	case "strays":
		f, err := os.Create(filepath.Join(dir, "..", "stray.log"))
		b.held = append(b.held, f)
		return err
	case "breeds":
		child := &exec.Cmd{Path: "/bin/sleep", Args: []string{"sleep", "3600"}, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
		return child.Start()
	}
	return nil
}

// Health implements lifecycle.Plugin.
func (b *bad) Health(context.Context) (lifecycle.Health, error) {
	if b.fault == "locked" {
		return lifecycle.Health{State: lifecycle.Locked, Message: "a password is wanted"}, nil
	}
	return lifecycle.Health{State: lifecycle.Ready}, nil
}

// Keys implements signer.Signer.
func (b *bad) Keys(ctx context.Context) ([]signer.Key, error) {
	switch b.fault {
	case "stuck": // does not see that its caller is gone
		if until, ok := ctx.Deadline(); ok && time.Until(until) < 500*time.Millisecond {
			select {}
		}
	case "hangs":
		select {}
	case "leaky":
		f, err := os.Open(os.DevNull)
		if err != nil {
			return nil, err
		}
		b.held = append(b.held, f)
	case "keyless":
		return nil, nil
	}
	return b.Memory.Keys(ctx)
}

// Approve implements signer.Signer.
func (b *bad) Approve(ctx context.Context, a signer.Approval) (chain.BLSSignature, error) {
	if b.fault == "forges" {
		return signertest.Forging{Memory: b.Memory}.Approve(ctx, a)
	}
	return b.Memory.Approve(ctx, a)
}

// idle is a strategy that never orders anything.
type idle struct{ *syncertest.Memory }

// Run implements syncer.Strategy.
func (idle) Run(ctx context.Context, s syncer.Session) error {
	for {
		if _, err := s.Next(ctx); err != nil {
			return err
		}
	}
}
