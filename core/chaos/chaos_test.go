package chaos_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/alys-node/alys/core/chaos"
	"github.com/alys-node/alys/sdk/wire/enginev1"
	"github.com/alys-node/alys/sdk/wire/signerv1"
)

// table is a table of processes that answer to signals: a killed one is listed under another number.
type table struct {
	mu      sync.Mutex
	next    int
	pids    map[string]int
	signals map[int][]syscall.Signal
}

func newTable(plugins ...string) *table {
	t := &table{next: 100, pids: map[string]int{}, signals: map[int][]syscall.Signal{}}
	for _, p := range plugins {
		t.next++
		t.pids[p] = t.next
	}
	return t
}

func (t *table) targets() []chaos.Target {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []chaos.Target
	for _, name := range slices.Sorted(maps.Keys(t.pids)) {
		out = append(out, chaos.Target{Plugin: name, PID: t.pids[name]})
	}
	return out
}

func (t *table) signal(pid int, s syscall.Signal) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.signals[pid] = append(t.signals[pid], s)
	for name, have := range t.pids {
		if have == pid && s == syscall.SIGKILL {
			t.next++
			t.pids[name] = t.next
			return nil
		}
		if have == pid {
			return nil
		}
	}
	return syscall.ESRCH
}

func TestEveryFaultIsDoneAndNoProcessStaysStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		procs := newTable("engine.v5", "signer.local", "sync.sequential")
		var said []string
		var mu sync.Mutex
		c := chaos.New(chaos.Options{Targets: procs.targets, Signal: procs.signal, Seed: 7, Every: time.Second, Say: func(s string) {
			mu.Lock()
			defer mu.Unlock()
			said = append(said, s)
		}})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		if err := c.Run(ctx); err != nil {
			t.Fatal(err)
		}
		for _, fault := range []chaos.Fault{chaos.Kill, chaos.Freeze, chaos.Slow, chaos.Corrupt} {
			if strings.Contains(c.Summary(), string(fault)+" 0") || !strings.Contains(c.Summary(), string(fault)+" ") {
				t.Errorf("no %s: %s", fault, c.Summary())
			}
			if !strings.Contains(strings.Join(said, "\n"), "chaos: "+string(fault)+" ") {
				t.Errorf("%s was done and not told", fault)
			}
		}
		for pid, signals := range procs.signals {
			last := signals[len(signals)-1]
			if last == syscall.SIGSTOP {
				t.Errorf("process %d stays stopped: %v", pid, signals)
			}
			if i := slices.Index(signals, syscall.SIGKILL); i >= 0 && i != len(signals)-1 {
				t.Errorf("process %d was signalled after its death: %v", pid, signals)
			}
		}
	})
}

func TestProcessThatTheNodeNoLongerListsIsLeftAlone(t *testing.T) {
	for seed := range uint64(20) { // every fault comes up
		synctest.Test(t, func(t *testing.T) {
			procs := newTable("signer.local")
			chosen := false
			gone := func() []chaos.Target { // it is there when it is chosen, and not any more when it is to be signalled
				if chosen {
					return nil
				}
				chosen = true
				return procs.targets()
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := chaos.New(chaos.Options{Targets: gone, Signal: procs.signal, Seed: seed + 1}).Run(ctx); err != nil {
				t.Fatal(err)
			}
			if len(procs.signals) > 0 {
				t.Errorf("seed %d: a number that may be another's was signalled: %v", seed+1, procs.signals)
			}
		})
	}
}

func TestCorruptedAnswerDiffersInOneField(t *testing.T) {
	answers := []proto.Message{
		&signerv1.ApproveResponse{Signature: []byte{1, 2, 3}},
		&enginev1.StatusResponse{ClientVersion: "geth", ChainId: 7, Forks: []*enginev1.Fork{{Name: "prague", Timestamp: 9}}, Syncing: true},
	}
	synctest.Test(t, func(t *testing.T) {
		procs := newTable("signer.local")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		corrupting := make(chan struct{}, 1000)
		c := chaos.New(chaos.Options{Targets: procs.targets, Signal: procs.signal, Seed: 3, Every: time.Second, Say: func(s string) {
			if strings.HasPrefix(s, "chaos: corrupt ") {
				corrupting <- struct{}{}
			}
		}})
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		for _, want := range answers {
			<-corrupting
			synctest.Wait()
			got := proto.Clone(want)
			c.Answer("signer.other", "Approve", got)
			if !proto.Equal(want, got) {
				t.Errorf("the answer of another plugin was changed: %v", got)
			}
			c.Answer("signer.local", "Approve", got)
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff == "" {
				t.Errorf("nothing was changed in %v", got)
			}
		}
		c.Answer("signer.local", "Empty", &signerv1.ApproveResponse{}) // nothing to change: no panic, nothing counted
		c.Answer("signer.local", "Other", 7)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}
