package lifecycle_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/sdk/lifecycle"
)

func TestDecode(t *testing.T) {
	type config struct {
		Path  string   `json:"path"`
		Wait  int64    `json:"wait"`
		Nodes []string `json:"nodes"`
	}
	for _, test := range []struct {
		name string
		json string
		want config
		err  string // a part of the error; empty: none
	}{
		{"every field", `{"path":"/a","wait":60000,"nodes":["x"]}`, config{"/a", 60000, []string{"x"}}, ""},
		{"an absent and a null field", `{"nodes":null}`, config{}, ""},
		{"a field that the struct does not have", `{"path":"/a","pth":1}`, config{}, "pth"},
		{"another type", `{"wait":"60s"}`, config{}, "wait"},
		{"no object", `[]`, config{}, "decode config"},
		{"nothing", ``, config{}, "decode config"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got config
			err := lifecycle.Config{JSON: []byte(test.json)}.Decode(&got)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("got error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKindsAreAllOfThem(t *testing.T) {
	want := []lifecycle.Kind{lifecycle.Signer, lifecycle.Engine, lifecycle.Sync}
	if diff := cmp.Diff(want, lifecycle.Kinds()); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	lifecycle.Kinds()[0] = "changed"
	if lifecycle.Kinds()[0] != lifecycle.Signer {
		t.Error("the list is shared")
	}
}
