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

func TestCheckNamesTheArgument(t *testing.T) {
	type config struct {
		Count uint8 `json:"count"`
		Inner struct {
			Wait uint8 `json:"wait"`
		} `json:"inner"`
	}
	for _, test := range []struct {
		name, json string
		path       []string
	}{
		{"a number that is not whole", `{"count":0.5}`, []string{"count"}},
		{"a negative number", `{"count":-1}`, []string{"count"}},
		{"a number in a nested block", `{"inner":{"wait":300}}`, []string{"inner", "wait"}},
		{"an argument that there is not", `{"cuont":1}`, nil},
		{"no object", `{"count":`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			ds := lifecycle.Config{JSON: []byte(test.json)}.Check(&config{})
			if !ds.HasErrors() {
				t.Fatal("no finding")
			}
			if diff := cmp.Diff(test.path, ds[0].Path); diff != "" {
				t.Errorf("path (-want +got):\n%s", diff)
			}
		})
	}
	if ds := (lifecycle.Config{JSON: []byte(`{"count":7}`)}).Check(&config{}); ds != nil {
		t.Errorf("a good block: %v", ds)
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
