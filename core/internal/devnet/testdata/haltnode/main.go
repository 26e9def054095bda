// Haltnode is `alys run` with a place to stop: a node that halts at one record of its swap journal, so that a test can do
// to it there what it wants. The file halt-at in the data folder says where: "before STATE" (the record is not written) or
// "after STATE" (it is durable, and nobody has acted on it). The node then renames the file to halted and goes on when
// that is gone. Everything but the swap goes on meanwhile, as in any node whose swap takes its time.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/node"
	"github.com/alys-node/alys/core/swap"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 || args[0] != "run" || args[1] != "-c" {
		return fmt.Errorf("arguments %q, want run -c FILE", args)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	load := func(string, map[string]string, []string) (*config.Config, config.Diagnostics) {
		return config.Load(args[2], config.Options{})
	}
	c, diags := load("", nil, nil)
	if c == nil {
		return diags.Err()
	}
	out, err := node.OpenLogFile(c.Log.File, int64(c.Log.MaxSize), c.Log.MaxFiles)
	if err != nil {
		return err
	}
	n, err := node.New(ctx, node.Options{
		Config: c, Load: load, Version: "v0.0.0-halt",
		Log:     hclog.New(&hclog.LoggerOptions{Name: "alys", Output: out, IndependentLevels: true}),
		Journal: func(j swap.Journal) swap.Journal { return &halting{Journal: j, dir: c.Node.DataDir} },
	})
	if err != nil {
		return err
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for range hangups {
			n.Reload(ctx, "SIGHUP")
		}
	}()
	return errors.Join(n.Run(ctx), out.Close())
}

// halting is a journal that stops its caller where it was told to.
type halting struct {
	swap.Journal
	dir string
}

// Append implements swap.Journal.
func (h *halting) Append(ctx context.Context, r swap.Record) error {
	h.halt("before", r.State)
	if err := h.Journal.Append(ctx, r); err != nil {
		return err
	}
	h.halt("after", r.State)
	return nil
}

// Compact implements swap.Journal.
func (h *halting) Compact(ctx context.Context, rs []swap.Record) error {
	h.halt("before", swap.Snapshot)
	if err := h.Journal.Compact(ctx, rs); err != nil {
		return err
	}
	h.halt("after", swap.Snapshot)
	return nil
}

func (h *halting) halt(when string, s swap.State) {
	at, halted := filepath.Join(h.dir, "halt-at"), filepath.Join(h.dir, "halted")
	if want, err := os.ReadFile(at); err != nil || string(want) != when+" "+string(s) {
		return
	}
	if err := os.Rename(at, halted); err != nil {
		fmt.Fprintln(os.Stderr, "cannot halt:", err)
		os.Exit(1)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := os.Stat(halted); errors.Is(err, fs.ErrNotExist) {
			return
		}
	}
}
