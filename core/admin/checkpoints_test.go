package admin_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/alys-node/alys/core/admin"
)

func TestCheckpointsAreListed(t *testing.T) {
	c, socket := start(t, &answering{})
	list, err := c.Checkpoints(t.Context(), 3)
	if err != nil || len(list) != 3 {
		t.Errorf("%d checkpoints, %v", len(list), err)
	}
	for _, query := range []string{"", "?last=0", "?last=many", "?last=-1"} {
		if code, body := raw(t, socket, http.MethodGet, "/v1/checkpoints"+query, ""); code != http.StatusBadRequest {
			t.Errorf("%q is answered with %d %s", query, code, body)
		}
	}
}

func TestACheckTellsProgressAndResult(t *testing.T) {
	node := &answering{}
	c, _ := start(t, node)
	var seen []admin.CheckProgress
	r, err := c.CheckChain(t.Context(), func(p admin.CheckProgress) { seen = append(seen, p) })
	if err != nil || r.Checked != 9 || len(seen) != 1 || seen[0].Height != 4 || seen[0].All != 9 {
		t.Errorf("%+v, %+v, %v", r, seen, err)
	}
	node.checking = true
	_, err = c.CheckChain(t.Context(), nil)
	if e, ok := errors.AsType[*admin.Error](err); !ok || e.Code != "conflict" {
		t.Errorf("a second check: %v", err)
	}
}
