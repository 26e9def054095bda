package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/node"
)

func newPlugin(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "plugin", Short: "Pin plugin binaries", Example: "  alys plugin pin", Args: noSubcommand, RunE: help,
		Long: "Plugins are programs of their own. Outside a dev chain alys.hcl pins each by its checksum.",
	}
	cmd.AddCommand(newPluginPin(f))
	cmd.AddCommand(newPluginTest(f))
	return cmd
}

func newPluginPin(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:     "pin [KIND.NAME...]",
		Short:   "Write the checksums of plugin binaries into alys.hcl, keeping comments",
		Long:    "Write the SHA-256 of each plugin's binary as it is now into its block. Outside a dev chain a plugin without a checksum\ndoes not start, and one whose file differs is refused.",
		Example: "  alys plugin pin\n  alys plugin pin signer.local",
		RunE: func(cmd *cobra.Command, args []string) error {
			f.pinning = true // that checksums are missing is why it is called
			c, err := f.load(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			ids := args
			if len(ids) == 0 {
				for _, p := range c.Plugins {
					ids = append(ids, p.ID.String())
				}
			}
			for _, id := range ids {
				if err := pin(cmd, c, id); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func pin(cmd *cobra.Command, c *config.Config, name string) error {
	for _, p := range c.Plugins {
		if p.ID.String() != name {
			continue
		}
		sum, err := node.Checksum(cmd.Context(), c, p)
		if err != nil {
			return err
		}
		src, err := os.ReadFile(p.Range.File)
		if err != nil {
			return fmt.Errorf("pin %s: %w", name, err)
		}
		out, err := config.UpdatePin(src, p.ID, sum)
		if err != nil {
			return fmt.Errorf("pin %s: %w", name, err)
		}
		if err := replaceFile(p.Range.File, out); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\t%s\n", name, sum)
		return err
	}
	return fmt.Errorf("there is no plugin %s in %s: name it as KIND.NAME, for example signer.local", name, c.Path)
}
