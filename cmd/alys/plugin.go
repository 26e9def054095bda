package main

import (
	"github.com/spf13/cobra"
)

func newPlugin(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "plugin", Short: "Write, test, look at and pin plugins", Example: "  alys plugin list", Args: noSubcommand, RunE: help,
		Long: "Plugins are programs of their own. Outside a dev chain alys.hcl pins each by its checksum.",
	}
	cmd.AddCommand(newPluginNew(f), newPluginTest(f), newPluginList(f), newPluginInspect(f), newPluginPin(f))
	return cmd
}
