package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/node"
)

func newPluginPin(f *flags) *cobra.Command {
	var add bool
	cmd := &cobra.Command{
		Use:   "pin [KIND.NAME...]",
		Short: "Write the checksums of plugin binaries into alys.hcl, keeping comments",
		Long: "Write the SHA-256 of each plugin's binary as it is now into its block. Outside a dev chain a plugin without a checksum\n" +
			"does not start, and one whose file differs is refused. --add keeps the checksums that are there, so that the old and\n" +
			"the new binary are both accepted while a new one is rolled out; pin again without it to end that. A plugin whose\n" +
			"binary is missing is told, and the others are pinned.",
		Example: "  alys plugin pin\n  alys plugin pin signer.local\n  alys plugin pin --add engine.v5",
		RunE: func(cmd *cobra.Command, args []string) error {
			f.pinning = true // that checksums are missing is why it is called
			c, err := f.load(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			plugins, err := chosen(c, args)
			if err != nil {
				return err
			}
			update := config.UpdatePin
			if add {
				update = config.AddPin
			}
			var failed []error
			for _, p := range plugins {
				sum, err := pin(cmd, c, p, update)
				if err != nil {
					failed = append(failed, fmt.Errorf("pin %s: %w", p.ID, err))
					continue
				}
				_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s\t%s\n", p.ID, sum)
			}
			return errors.Join(failed...)
		},
	}
	cmd.Flags().BoolVar(&add, "add", false, "keep the checksums that are there")
	return cmd
}

// chosen are the plugins that arguments name, each once; all of them without arguments.
func chosen(c *config.Config, names []string) ([]*config.Plugin, error) {
	if len(names) == 0 {
		return c.Plugins, nil
	}
	var out []*config.Plugin
	seen := map[string]bool{}
	for _, name := range names {
		p, err := findPlugin(c, name)
		if err != nil {
			return nil, err
		}
		if !seen[name] {
			out = append(out, p)
		}
		seen[name] = true
	}
	return out, nil
}

// findPlugin finds a block by KIND.NAME.
func findPlugin(c *config.Config, name string) (*config.Plugin, error) {
	var have []string
	for _, p := range c.Plugins {
		if p.ID.String() == name {
			return p, nil
		}
		have = append(have, p.ID.String())
	}
	hint := config.DidYouMean(name, have)
	if hint != "" {
		hint = "." + hint
	}
	return nil, fmt.Errorf("there is no plugin %s in %s: name it as KIND.NAME, for example signer.local%s", name, c.Path, hint)
}

// pin writes the checksum of one plugin into the file that has its block.
func pin(cmd *cobra.Command, c *config.Config, p *config.Plugin, update func([]byte, config.PluginID, string) ([]byte, error)) (string, error) {
	sum, err := node.Checksum(cmd.Context(), c, p)
	if err != nil {
		return "", err
	}
	src, err := os.ReadFile(p.Range.File)
	if err != nil {
		return "", err
	}
	out, err := update(src, p.ID, sum)
	if err != nil {
		return "", err
	}
	if string(out) == string(src) {
		return sum, nil
	}
	return sum, replaceFile(p.Range.File, out)
}
