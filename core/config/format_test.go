package config_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/alys-node/alys/core/config"
)

func TestFormat(t *testing.T) {
	cases := []struct{ name, in, want string }{
		{"aligns and indents", "node {\nname=\"n\"\n  data_dir =    \"d\" # c\n}", "node {\n  name     = \"n\"\n  data_dir = \"d\" # c\n}\n"},
		{"drops a byte order mark and CR", "\xef\xbb\xbfa = 1\r\nb = 2\r\n", "a = 1\nb = 2\n"},
		{"leaves an empty file", "", ""},
		{"keeps a heredoc", "a = <<-E\n    x\n  E\n", "a = <<-E\n    x\n  E\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, ds := config.Format([]byte(c.in))
			if ds.HasErrors() || string(got) != c.want {
				t.Errorf("got %q, want %q (%v)", got, c.want, ds)
			}
		})
	}
	if got, ds := config.Format([]byte("a = {")); !ds.HasErrors() || string(got) != "a = {" {
		t.Errorf("a broken text: %q, %v", got, ds)
	}
}

func TestFormatTwiceIsFormatOnce(t *testing.T) {
	piece := rapid.SampledFrom([]string{
		"node {\n", "}\n", "a=1\n", "  bb   = [1,\n2]\n", "# c\n", "// d\n", "/* e */", "\n", "\t", " ", "x = { a=1, b = 2 }\n",
		"s = \"${ a }x\"\n", "h = <<E\n q\nE\n", "plugin \"a\"   \"b\" {\n", "c = a?b:c\n", "d = -1+!x\n", "l = [for x in y:x]\n", "\r\n",
	})
	rapid.Check(t, func(t *rapid.T) {
		src := []byte(strings.Join(rapid.SliceOfN(piece, 0, 30).Draw(t, "pieces"), ""))
		once, ds := config.Format(src)
		if ds.HasErrors() {
			t.Skip()
		}
		twice, ds := config.Format(once)
		if ds.HasErrors() || !bytes.Equal(once, twice) {
			t.Fatalf("once %q\ntwice %q\n%v", once, twice, ds)
		}
	})
}

func TestUpdatePinKeepsEverythingElse(t *testing.T) {
	id := config.PluginID{Kind: "signer", Name: "local"}
	sum := "sha256:" + strings.Repeat("a", 64)
	cases := []struct{ name, in, want string }{
		{
			"replaces a checksum",
			"# top\nplugin \"signer\" \"local\" {\n  command  = \"a\"\n  checksum = \"sha256:old\" # pinned\n}\n",
			"# top\nplugin \"signer\" \"local\" {\n  command  = \"a\"\n  checksum = \"SUM\" # pinned\n}\n",
		},
		{
			"replaces a list",
			"plugin \"signer\" \"local\" {\n  checksum = [\n    \"a\",\n    \"b\",\n  ]\n}\n",
			"plugin \"signer\" \"local\" {\n  checksum = \"SUM\"\n}\n",
		},
		{
			"adds one after the command, and aligns a formatted file",
			"plugin \"signer\" \"local\" {\n  command = \"a\" # c\n  config {\n  }\n}\n",
			"plugin \"signer\" \"local\" {\n  command  = \"a\" # c\n  checksum = \"SUM\"\n  config {\n  }\n}\n",
		},
		{
			"does not touch the layout of a file that is not formatted",
			"x   {\n}\nplugin \"signer\" \"local\" {\n\tcommand   =   \"a\"\n}\n",
			"x   {\n}\nplugin \"signer\" \"local\" {\n\tcommand   =   \"a\"\n\tchecksum = \"SUM\"\n}\n",
		},
		{
			"opens a block of one line",
			"plugin \"signer\" \"local\" { command = \"a\" }\n",
			"plugin \"signer\" \"local\" {\n  command  = \"a\"\n  checksum = \"SUM\"\n}\n",
		},
		{
			"finds the right block",
			"plugin \"signer\" \"other\" {\n  command = \"a\"\n}\nplugin \"signer\" \"local\" {\n}\n",
			"plugin \"signer\" \"other\" {\n  command = \"a\"\n}\nplugin \"signer\" \"local\" {\n  checksum = \"SUM\"\n\n}\n",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := config.UpdatePin([]byte(c.in), id, sum)
			if want := strings.ReplaceAll(c.want, "SUM", sum); err != nil || string(got) != want {
				t.Errorf("got:\n%s\nwant:\n%s\n%v", got, want, err)
			}
		})
	}
	if _, err := config.UpdatePin([]byte("node {\n}\n"), id, sum); !errors.Is(err, config.ErrNoPluginBlock) {
		t.Errorf("no block: %v", err)
	}
	computed := "plugin \"signer\" \"local\" {\n  checksum = var.sum\n}\n"
	if _, err := config.UpdatePin([]byte(computed), id, sum); !errors.Is(err, config.ErrComputedPin) {
		t.Errorf("an expression: %v", err)
	}
	if _, err := config.UpdatePin([]byte("{{"), id, sum); err == nil {
		t.Error("a broken text was pinned")
	}
}
