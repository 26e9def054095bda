// Probe is a signer for the tests of Serve. Its config says how it comes up and goes down; the slot of an Approve makes the
// call wait, print or panic.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugin"
	"github.com/alys-node/alys/sdk/schema"
	"github.com/alys-node/alys/sdk/signer"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "host" {
		host(os.Args[2])
		return
	}
	kind := lifecycle.Kind(os.Getenv("PROBE_KIND"))
	if kind == "" {
		kind = lifecycle.Signer
	}
	plugin.Serve(func(log hclog.Logger) lifecycle.Plugin {
		if os.Getenv("PROBE_PRINTS") != "" {
			fmt.Println("printed before the handshake")
		}
		return &probe{kind: kind, log: log}
	})
}

// host starts a plugin as a node does, as far as its environment goes, says its process id when it listens, and dies
// without a word when its input ends.
func host(path string) {
	cmd := exec.Command(path) //nolint:gosec,noctx // the test's own binary
	cmd.Env = os.Environ()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		_, err = bufio.NewReader(out).ReadString('\n')
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(cmd.Process.Pid)
	_, _ = os.Stdin.Read(make([]byte, 1))
	os.Exit(0)
}

// Slots that make Approve misbehave.
const (
	slotWaits  = 1 // until the call ends
	slotPanics = 2
	slotPrints = 3
	slotShort  = 4 // waits a moment
)

type config struct {
	Fail  bool   `json:"fail"`
	Drain string `json:"drain"` // a file that Drain writes
}

type probe struct {
	kind  lifecycle.Kind
	log   hclog.Logger
	drain string
}

func (p *probe) Describe() lifecycle.Description {
	return lifecycle.Description{Kind: p.kind, Name: "probe", Version: "0.1.0", Capabilities: []lifecycle.Capability{lifecycle.CapEvents}}
}

func (p *probe) Schema() schema.Block { return schema.Block{} }

func (p *probe) Validate(context.Context, lifecycle.Config) diag.Diagnostics { return nil }

func (p *probe) Configure(_ context.Context, c lifecycle.Config) error {
	var v config
	if err := c.Decode(&v); err != nil {
		return err
	}
	if v.Fail {
		return fmt.Errorf("the HSM is not plugged in: %w", signer.ErrUnavailable)
	}
	p.drain = v.Drain
	return nil
}

func (p *probe) Health(context.Context) (lifecycle.Health, error) {
	return lifecycle.Health{State: lifecycle.Ready}, nil
}

func (p *probe) Drain(context.Context) error {
	if p.drain == "" {
		return nil
	}
	return os.WriteFile(p.drain, []byte("drained"), 0o600)
}

func (p *probe) Keys(context.Context) ([]signer.Key, error) { return nil, nil }

func (p *probe) Approve(ctx context.Context, a signer.Approval) (chain.BLSSignature, error) {
	switch a.Header.Slot {
	case slotWaits:
		p.log.Info("call is running")
		<-ctx.Done()
		return chain.BLSSignature{}, ctx.Err()
	case slotPanics:
		panic("a nil map, say")
	case slotPrints:
		fmt.Println("printed in a call")
	case slotShort:
		p.log.Info("call is running")
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return chain.BLSSignature{1}, nil
}

func (p *probe) SignBitcoin(context.Context, signer.BitcoinRequest) (signer.BitcoinAnswer, error) {
	return signer.BitcoinAnswer{}, signer.ErrUnknownKey
}

func (p *probe) Prove(context.Context, signer.Challenge) (signer.Proof, error) {
	return signer.Proof{}, lifecycle.ErrUnsupported
}

func (p *probe) Watch(ctx context.Context, _ func(context.Context, signer.Event) error) error {
	<-ctx.Done()
	return ctx.Err()
}
