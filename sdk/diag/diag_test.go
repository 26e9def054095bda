package diag_test

import (
	"testing"

	"github.com/alys-node/alys/sdk/diag"
)

func TestErr(t *testing.T) {
	warning := diag.Diagnostic{Severity: diag.Warning, Summary: "slow disk"}
	first := diag.Errorf([]string{"tls", "0", "ca"}, "Give a path.", "%s is missing", "ca")
	second := diag.Errorf(nil, "", "no key")
	for _, test := range []struct {
		name string
		ds   diag.Diagnostics
		want string // of the error; empty: none
	}{
		{"nothing", nil, ""},
		{"a warning only", diag.Diagnostics{warning}, ""},
		{"errors and a warning", diag.Diagnostics{first, warning, second}, "error: ca is missing (at tls.0.ca): Give a path.; error: no key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.ds.Err()
			if got := err != nil; got != (test.want != "") || got != test.ds.HasErrors() {
				t.Fatalf("error %v, has errors %v", err, test.ds.HasErrors())
			}
			if err != nil && err.Error() != test.want {
				t.Errorf("got %q, want %q", err, test.want)
			}
		})
	}
}

func TestSeverity(t *testing.T) {
	for s, want := range map[diag.Severity]string{diag.Error: "error", diag.Warning: "warning", 0: "severity(0)", 9: "severity(9)"} {
		if s.String() != want {
			t.Errorf("got %q, want %q", s, want)
		}
	}
}
