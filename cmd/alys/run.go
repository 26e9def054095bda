package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/node"
	"github.com/alys-node/alys/sdk/diag"
)

func newRun(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:     "run",
		Short:   "Run a node from alys.hcl",
		Long:    "Run a node from alys.hcl until it is told to stop (Ctrl-C or SIGTERM). SIGHUP reads the file again and applies it, as a\nsaved file does with node.watch = true. The node first brings up what its journal says it ran, then goes to the file.",
		Example: "  alys run -c alys.hcl",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			log, closeLog, err := openLog(c, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer closeLog() //nolint:errcheck // nothing is left to do with it
			return f.runNode(cmd.Context(), c, node.Options{Log: log})
		},
	}
}

// runNode runs a node until ctx ends. SIGHUP reloads.
func (f *flags) runNode(ctx context.Context, c *config.Config, o node.Options) error {
	o.Config, o.Version = c, version
	o.Load = func(path string, vars map[string]string, varFiles []string) (*config.Config, config.Diagnostics) {
		options, err := f.options()
		if err != nil {
			return nil, config.Diagnostics{{Severity: diag.Error, Summary: err.Error()}}
		}
		maps.Copy(options.Vars, vars)
		options.VarFiles = append(options.VarFiles, varFiles...)
		if path == "" {
			path = c.Path
		}
		return config.Load(path, options)
	}
	n, err := node.New(ctx, o)
	if err != nil {
		return err
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer startMemory(ctx, cancel)()
	go func() {
		for {
			select {
			case <-hangups:
				n.Reload(ctx, "SIGHUP")
			case <-ctx.Done():
				return
			}
		}
	}()
	err = n.Run(ctx)
	if text := n.ChaosSummary(); text != "" && o.Event != nil {
		o.Event(node.Event{At: time.Now(), Text: text})
	}
	return err
}

// openLog makes the node's logger as the log block says.
func openLog(c *config.Config, stderr io.Writer) (hclog.Logger, func() error, error) {
	out, done := stderr, func() error { return nil }
	if c.Log.File != "" {
		file, err := node.OpenLogFile(c.Log.File, int64(c.Log.MaxSize), c.Log.MaxFiles)
		if err != nil {
			return nil, nil, fmt.Errorf("open log: %w", err)
		}
		out, done = file, file.Close
	}
	log := hclog.New(&hclog.LoggerOptions{
		Name: "alys", Level: hclog.LevelFromString(c.Log.Level), Output: out, JSONFormat: c.Log.Format == "json",
		IndependentLevels: true, TimeFormat: "2006-01-02T15:04:05.000Z07:00",
	})
	return log, done, nil
}
