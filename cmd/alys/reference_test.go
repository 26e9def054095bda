package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write REFERENCE.md")

// commands are the root and every command below it, in the order of help.
func commands(cmd *cobra.Command) []*cobra.Command {
	out := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			out = append(out, commands(sub)...)
		}
	}
	return out
}

func TestEveryCommandHasAnExample(t *testing.T) {
	for _, cmd := range commands(newRoot()) {
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s: a command needs a short text and an example", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Example) {
			if !strings.HasPrefix(line, "  alys ") {
				t.Errorf("%s: example %q is not a command line", cmd.CommandPath(), line)
			}
		}
	}
}

// TestExamplesParse executes no example, but wants that each names a command and flags that there are.
func TestExamplesParse(t *testing.T) {
	for _, cmd := range commands(newRoot()) {
		for line := range strings.Lines(cmd.Example) {
			line, _, _ = strings.Cut(line, "#")
			line, _, _ = strings.Cut(line, " | ")
			line, _, _ = strings.Cut(line, " > ")
			for part := range strings.SplitSeq(line, "&&") {
				args := dashes(strings.Fields(part)[1:])
				named, rest, err := newRoot().Find(args)
				if err == nil {
					err = named.ParseFlags(rest)
				}
				if err == nil {
					err = named.ValidateArgs(named.Flags().Args())
				}
				if err != nil {
					t.Errorf("%s: example %q: %v", cmd.CommandPath(), strings.TrimSpace(part), err)
				}
			}
		}
	}
}

// TestReferenceIsWhatHelpSays holds REFERENCE.md equal to the commands: go test ./cmd/alys -run Reference -update
func TestReferenceIsWhatHelpSays(t *testing.T) {
	want := reference(newRoot())
	if *update {
		if err := os.WriteFile("REFERENCE.md", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("REFERENCE.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("REFERENCE.md is not what `alys --help` says; run this test with -update (-help +page):\n%s", diff)
	}
}

func reference(root *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprint(&b, "# alys: the command line\n\nGenerated from `alys --help`; a test holds it equal.\n\n",
		"Exit codes: 0 done; 1 failed, with a message on standard error; 2 changes are pending (`alys plan --detailed-exitcode` only).\n",
		"Colour is used on a terminal, and not when `NO_COLOR` is set. `ALYS_ADDR` names a node's socket (`unix:/path/alys.sock`);\n",
		"`ALYS_VAR_name` sets a variable of alys.hcl. `-out`, `-var` and `-var-file` may be written with one dash.\n\n",
		"Flags of every command:\n\n")
	flagTable(&b, root.PersistentFlags())
	for _, cmd := range commands(root)[1:] {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n", cmd.CommandPath(), cmd.Short)
		if cmd.Long != "" {
			fmt.Fprintf(&b, "\n%s\n", strings.ReplaceAll(cmd.Long, "\n", " "))
		}
		fmt.Fprintf(&b, "\n```sh\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(cmd.Example, "  "), "\n  ", "\n"))
		if !cmd.HasSubCommands() {
			fmt.Fprintf(&b, "\nUsage: `%s`\n", cmd.UseLine())
		}
		if cmd.HasAvailableLocalFlags() && cmd.LocalNonPersistentFlags().HasAvailableFlags() {
			b.WriteByte('\n')
			flagTable(&b, cmd.LocalNonPersistentFlags())
		}
	}
	return b.Bytes()
}

func flagTable(b *bytes.Buffer, flags *pflag.FlagSet) {
	fmt.Fprint(b, "| flag | what it does | default |\n|---|---|---|\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		value := f.DefValue
		if value == "[]" || value == "false" {
			value = ""
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, f.Usage, value)
	})
}
