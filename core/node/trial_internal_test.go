package node

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
)

// counting counts what it builds.
type counting struct {
	engine.Engine
	builds int
}

func (c *counting) Build(ctx context.Context, r engine.BuildRequest) (chain.ExecutionData, error) {
	c.builds++
	return c.Engine.Build(ctx, r)
}

// What a newcomer builds is executed by the others before it is proposed: a slot is not lost to a payload that is INVALID.
func TestPayloadOfANewcomerIsExecutedByTheOthersFirst(t *testing.T) {
	for _, test := range []struct {
		name string
		old  engine.Engine // the fallback, which judges
		want [2]int        // builds of the newcomer and of the fallback
	}{
		{"good", devEngine(t), [2]int{1, 0}},
		{"INVALID to the old one", enginetest.Lying{Memory: devEngine(t), Height: 1}, [2]int{1, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := devEngine(t)
				newcomer, old := &counting{Engine: memory}, &counting{Engine: test.old}
				trial := func(id route.ID) bool { return id.Plugin == "engine.new" }
				r := route.New[engine.Engine](route.Options{Name: "engine", OnTrial: trial})
				t.Cleanup(func() { _ = r.Close() })
				must(t, r.Set(route.Positions[engine.Engine]{Primary: at[engine.Engine]("engine.new", newcomer), Fallback: at[engine.Engine]("engine.old", old)}))
				x := &executor{writer: route.NewWriter(r, route.WriterOptions[engine.Engine]{}), slotTime: twoSeconds, onTrial: trial}
				_, err := x.Build(t.Context(), 1, next(memory))
				must(t, err)
				if got := [2]int{newcomer.builds, old.builds}; got != test.want {
					t.Errorf("the newcomer and the old one built %v, want %v", got, test.want)
				}
			})
		})
	}
}

func TestReceiptsThatCannotBeTheBlocksAreNoAnswer(t *testing.T) {
	data := chain.ExecutionData{Payload: chain.Payload{Number: 1}}
	if err := soundReceipts([]chain.ExecutionData{data}, [][]chain.Receipt{nil}); err != nil {
		t.Errorf("none of an empty block: %v", err)
	}
	if err := soundReceipts([]chain.ExecutionData{data}, [][]chain.Receipt{{{Success: true}}}); err == nil {
		t.Error("one of an empty block is believed")
	}
}
