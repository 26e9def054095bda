package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/alys-node/alys/core/node"
)

func newGenesis(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "genesis",
		Short: "Print the execution genesis of the chain, for an execution client of your own",
		Long: "Print the execution genesis of the chain spec, in geth's format. An engine with mode \"external\" drives a client that was\n" +
			"initialized with it: geth init --datadir DIR genesis.json.",
		Example: "  alys genesis > genesis.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			raw, err := node.ExecutionGenesis(c)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), string(raw))
			return err
		},
	}
}
