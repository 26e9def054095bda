package node

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/core/swap"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// benchOf is a load of one call every 10 ms on two keys.
func benchOf(sign func(context.Context, chain.BLSPublicKey, chain.Header) (chain.BLSSignature, error)) *benchLoad {
	return &benchLoad{
		every: 10 * time.Millisecond, genesis: chain.Hash{1}, sign: sign,
		slotAt: func(at time.Time) chain.Slot { return chain.Slot(at.UnixMicro()) },
		lanes:  []*benchLane{{key: chain.BLSPublicKey{1}}, {key: chain.BLSPublicKey{2}}},
	}
}

func TestBenchCountsFromWhenACallWasDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex // guards last: each lane has a goroutine
		last := map[chain.BLSPublicKey]chain.Slot{}
		l := benchOf(func(_ context.Context, key chain.BLSPublicKey, h chain.Header) (chain.BLSSignature, error) {
			mu.Lock()
			if key == (chain.BLSPublicKey{1}) && len(last) > 0 && last[key] == 0 {
				t.Error("the lanes do not take turns")
			}
			if h.Slot <= last[key] || h.Genesis != (chain.Hash{1}) {
				t.Errorf("slot %d after %d", h.Slot, last[key])
			}
			last[key] = h.Slot
			mu.Unlock()
			if key == (chain.BLSPublicKey{2}) {
				return chain.BLSSignature{}, nil
			}
			pause := time.Millisecond
			if since := time.Since(began); since > 300*time.Millisecond && since < 320*time.Millisecond {
				pause = 200 * time.Millisecond // one call of one lane stalls
			}
			<-time.After(pause)
			return chain.BLSSignature{}, nil
		})
		l.start(t.Context())
		<-time.After(995 * time.Millisecond)
		l.stop()
		p := l.part(began, began.Add(time.Second))
		// The stalled call takes 200 ms; the nine that were due behind it, every 20 ms, each 19 ms less than the one before.
		if p.Due != 100 || p.Calls != 99 || p.Failed != 0 || p.Max != 0.2 || p.P50 > 0.001 {
			t.Errorf("got %+v, want 99 calls of 100, the longest 200 ms, the median at most 1 ms", p)
		}
		late := 0
		for _, s := range l.lanes[0].samples {
			if s.took > time.Millisecond {
				late++
			}
		}
		if late < 10 {
			t.Errorf("%d calls are late, want those behind the stalled one among them", late)
		}
		if p.Gap < 0.01 || p.Gap > 0.02 {
			t.Errorf("the longest gap is %v s, want the other lane's interval at most", p.Gap)
		}
	})
}

func TestBenchCountsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		l := benchOf(func(context.Context, chain.BLSPublicKey, chain.Header) (chain.BLSSignature, error) {
			return chain.BLSSignature{}, boom
		})
		began := time.Now()
		l.start(t.Context())
		<-time.After(105 * time.Millisecond)
		l.stop()
		if p := l.part(began, time.Now()); p.Failed != 10 || p.Calls != 10 || !errors.Is(l.failure(), boom) {
			t.Errorf("got %+v and %v, want 10 failures of 10", p, l.failure())
		}
	})
}

func TestBenchIsForDevelopmentChains(t *testing.T) {
	good := admin.BenchSignRequest{Rate: 200, Duration: time.Second, Swaps: 1}
	dev := &Node{spec: spec.Dev()}
	if err := dev.benchable(good); err != nil {
		t.Errorf("on a development chain: %v", err)
	}
	other := *spec.Dev()
	other.Dev = false
	for name, try := range map[string]struct {
		node   *Node
		change func(*admin.BenchSignRequest)
		code   string
	}{
		"another chain":     {&Node{spec: &other}, func(*admin.BenchSignRequest) {}, "refused"},
		"no rate":           {dev, func(r *admin.BenchSignRequest) { r.Rate = 0 }, "invalid"},
		"a mad rate":        {dev, func(r *admin.BenchSignRequest) { r.Rate = 1e9 }, "invalid"},
		"no time":           {dev, func(r *admin.BenchSignRequest) { r.Duration = 0 }, "invalid"},
		"a week":            {dev, func(r *admin.BenchSignRequest) { r.Duration = 7 * 24 * time.Hour }, "invalid"},
		"less than nothing": {dev, func(r *admin.BenchSignRequest) { r.Swaps = -1 }, "invalid"},
	} {
		r := good
		try.change(&r)
		_, err := try.node.BenchSign(t.Context(), r, func(admin.BenchProgress) {})
		if e, ok := errors.AsType[*admin.Error](err); !ok || e.Code != try.code {
			t.Errorf("%s: got %v, want code %s", name, err, try.code)
		}
	}
}

func TestBenchFindsTheOtherSigner(t *testing.T) {
	plugin := func(name, command string) *config.Plugin {
		return &config.Plugin{ID: config.PluginID{Kind: lifecycle.Signer, Name: name}, Command: command}
	}
	a, b, c := plugin("a", "local"), plugin("b", "local"), plugin("c", "kms")
	primary := swap.PluginID{Kind: lifecycle.Signer, Label: "a"}
	for name, try := range map[string]struct {
		plugins []*config.Plugin
		with    string
		want    *config.Plugin
	}{
		"the only one with the same command": {[]*config.Plugin{a, b, c}, "", b},
		"the one that was named":             {[]*config.Plugin{a, b, c}, "c", c},
		"none":                               {[]*config.Plugin{a, c}, "", nil},
		"several":                            {[]*config.Plugin{a, b, plugin("d", "local")}, "", nil},
		"itself":                             {[]*config.Plugin{a, b}, "a", nil},
	} {
		got, err := benchOther(&config.Config{Plugins: try.plugins}, primary, try.with)
		if got != try.want || (err == nil) != (try.want != nil) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}
