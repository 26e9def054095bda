package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/alys-node/alys/core/node"
	"github.com/alys-node/alys/sdk/lifecycle"
)

func newPluginInspect(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "inspect PATH|KIND.NAME",
		Short: "Show what a plugin says of itself: version, abilities, and what its block may hold",
		Long: "Start a program as a probe, which is asked who it is and what its config block may hold, and is never configured. A\n" +
			"program is named by its path, or by its block in alys.hcl; it runs, so name one that you trust. A program that is named\n" +
			"by its path gets no environment.",
		Example: "  alys plugin inspect signer.local\n  alys plugin inspect ./alys-signer-mine --json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name one plugin: the path of a program, or KIND.NAME of a block in alys.hcl")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := f.inspect(cmd, args[0])
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), in)
			}
			return printInspection(cmd.OutOrStdout(), in)
		},
	}
}

// inspect takes a name with a slash, or one of a file that is there and looks like no block's, as a path.
func (f *flags) inspect(cmd *cobra.Command, name string) (node.Inspection, error) {
	kind, _, dotted := strings.Cut(name, ".")
	_, err := os.Stat(name)
	if strings.Contains(name, "/") || err == nil && (!dotted || !isKind(kind)) {
		return node.InspectFile(cmd.Context(), name)
	}
	if !dotted {
		return node.Inspection{}, fmt.Errorf("there is no file %s here: name the path of a program, or KIND.NAME of a block in alys.hcl", name)
	}
	f.pinning = true // looking at a program does not need its checksum
	c, err := f.load(cmd.ErrOrStderr())
	if err != nil {
		return node.Inspection{}, err
	}
	p, err := findPlugin(c, name)
	if err != nil {
		return node.Inspection{}, err
	}
	return node.InspectPlugin(cmd.Context(), c, p)
}

func printInspection(w io.Writer, in node.Inspection) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	answers := "" // is said of signers
	if in.Kind == lifecycle.Signer {
		answers = map[bool]string{true: "the same bytes to the same request", false: "not always the same bytes to the same request"}[in.Deterministic]
	}
	for _, row := range [][2]string{
		{"plugin", in.ID},
		{"program", in.Command},
		{"digest", in.Digest},
		{"kind", string(in.Kind)},
		{"name", in.Name + " " + in.Version},
		{"protocol", fmt.Sprint(in.Protocol)},
		{"abilities", cmp.Or(strings.Join(in.Capabilities, ", "), "none beyond those that its kind must have")},
		{"answers", answers},
		{"network", map[bool]string{true: "reaches out beyond this machine", false: "stays on this machine"}[in.Network]},
		{"config", in.Schema.Doc},
	} {
		if row[1] != "" {
			_, _ = fmt.Fprintf(t, "%s\t%s\n", row[0], row[1])
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print plugin: %w", err)
	}
	if len(in.Schema.Attributes)+len(in.Schema.Blocks) == 0 {
		_, _ = fmt.Fprintln(w, "\nIts config block takes no arguments.")
		return nil
	}
	_, _ = fmt.Fprintln(w)
	_, _ = fmt.Fprintln(t, "ARGUMENT\tTYPE\tDEFAULT\tMEANING")
	schemaRows(t, in.Schema, "")
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print schema: %w", err)
	}
	return nil
}

// schemaRows prints the arguments of a block, and below them those of the blocks in it.
func schemaRows(w io.Writer, b node.SchemaBlock, prefix string) {
	for _, a := range b.Attributes {
		kind, value := a.Type, cmp.Or(a.Default, "-")
		if a.Sensitive {
			kind += ", secret"
		}
		if a.Required {
			value = "(required)"
		}
		_, _ = fmt.Fprintf(w, "%s%s\t%s\t%s\t%s\n", prefix, a.Name, kind, value, a.Doc)
	}
	for _, child := range b.Blocks {
		kind := "block"
		if child.Repeated {
			kind = "blocks"
		}
		value := "-"
		if child.Required {
			value = "(required)"
		}
		_, _ = fmt.Fprintf(w, "%s%s\t%s\t%s\t%s\n", prefix, child.Name, kind, value, child.Doc)
		schemaRows(w, child, prefix+child.Name+".")
	}
}
