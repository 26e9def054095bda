package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/alys-node/alys/core/config"
)

func TestAddPinKeepsWhatIsThere(t *testing.T) {
	id := config.PluginID{Kind: "signer", Name: "local"}
	sum := "sha256:" + strings.Repeat("a", 64)
	block := func(body string) string { return "# top\nplugin \"signer\" \"local\" {\n" + body + "}\n" }
	cases := []struct{ name, in, want string }{
		{
			"a checksum becomes a list, and keeps its comment",
			block("  command  = \"a\"\n  checksum = \"old\" # v1\n"), block("  command  = \"a\"\n  checksum = [\"SUM\", \"old\"] # v1\n"),
		},
		{"a list of one line grows", block("  checksum = [\"old\", \"older\"]\n"), block("  checksum = [\"SUM\", \"old\", \"older\"]\n")},
		{"an empty list gets it", block("  checksum = []\n"), block("  checksum = [\"SUM\"]\n")},
		{
			"a list of several lines gets a line, and comments stay beside their values",
			block("  checksum = [ # both\n    # since May\n    \"old\", # v1\n    \"older\", # v0\n  ]\n"),
			block("  checksum = [ # both\n    \"SUM\",\n    # since May\n    \"old\",   # v1\n    \"older\", # v0\n  ]\n"),
		},
		{
			"the layout of a file that is not formatted stays",
			block("\tchecksum   =   [\n\t\"old\"\n\t]\n"), block("\tchecksum   =   [\n\t\"SUM\",\n\t\"old\"\n\t]\n"),
		},
		{"without a checksum it is the first", block("  command = \"a\"\n"), block("  command  = \"a\"\n  checksum = \"SUM\"\n")},
		{"one that is there changes nothing", block("  checksum = [\"old\",   \"SUM\"]\n"), block("  checksum = [\"old\",   \"SUM\"]\n")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			fill := func(s string) string { return strings.ReplaceAll(s, "SUM", sum) }
			in, _ := config.Format([]byte(fill(c.in)))
			if strings.Contains(c.name, "layout") || strings.Contains(c.name, "nothing") {
				in = []byte(fill(c.in))
			}
			got, err := config.AddPin(in, id, sum)
			if err != nil || string(got) != fill(c.want) {
				t.Errorf("got:\n%s\nwant:\n%s\n%v", got, fill(c.want), err)
			}
		})
	}
	if _, err := config.AddPin([]byte("node {\n}\n"), id, sum); !errors.Is(err, config.ErrNoPluginBlock) {
		t.Errorf("no block: %v", err)
	}
	for _, computed := range []string{"var.sum", "concat([\"a\"], [\"b\"])"} {
		if _, err := config.AddPin([]byte(block("  checksum = "+computed+"\n")), id, sum); !errors.Is(err, config.ErrComputedPin) {
			t.Errorf("%s: %v", computed, err)
		}
	}
	if _, err := config.AddPin([]byte("{{"), id, sum); err == nil {
		t.Error("a broken text was pinned")
	}
}
