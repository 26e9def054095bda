package engineapi_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/plugins/internal/engineapi"
	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// envelope is an answer of engine_getPayload that decodes in every version.
const envelope = `"result":{"executionPayload":` + payloadBody + `,"blockValue":"0x0","executionRequests":["0x01aa"],"blobsBundle":{"commitments":[],"proofs":[],"blobs":[]}}`

const zeroHash = "0x0000000000000000000000000000000000000000000000000000000000000000"

const payloadBody = `{"parentHash":"` + zeroHash + `","feeRecipient":"0x0000000000000000000000000000000000000000","stateRoot":"` + zeroHash +
	`","receiptsRoot":"` + zeroHash + `","logsBloom":"` + bloom + `","prevRandao":"` + zeroHash + `","blockNumber":"0x1","gasLimit":"0x2",` +
	`"gasUsed":"0x0","timestamp":"0x3","extraData":"0x","baseFeePerGas":"0x7","blockHash":"` + zeroHash + `","transactions":[],"withdrawals":[]}`

const bloom = "0x" + zeros512

const zeros512 = zeros128 + zeros128 + zeros128 + zeros128

const zeros128 = "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"

func answers(method string) string {
	switch {
	case method == "engine_getPayloadV1":
		return `"result":` + payloadBody
	case len(method) > 17 && method[:17] == "engine_getPayload" && method[17] == 'V':
		return envelope
	case method == "engine_getPayloadBodiesByHashV1":
		return `"result":[null]`
	case method == "engine_exchangeCapabilities":
		return `"result":["engine_newPayloadV1"]`
	case method == "engine_getClientVersionV1":
		return `"result":[{"code":"GE","name":"geth","version":"1.2.3","commit":"00000000"}]`
	case len(method) > 24 && method[:24] == "engine_forkchoiceUpdated":
		return `"result":{"payloadStatus":{"status":"VALID","latestValidHash":null,"validationError":null},"payloadId":"0x0102030405060708"}`
	}
	return `"result":{"status":"VALID","latestValidHash":null,"validationError":null}`
}

// fields are the names of an object's fields.
func fields(t *testing.T, raw json.RawMessage) []string {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	for name, v := range m {
		if string(v) == "null" {
			t.Errorf("field %s is null: the specification leaves it out", name)
		}
	}
	return slices.Sorted(maps.Keys(m))
}

// TestEveryMethodByFork has each call of the Engine API in each fork: the version that goes over the wire, and what it
// carries (execution-apis: paris, shanghai, cancun, prague).
func TestEveryMethodByFork(t *testing.T) {
	zero := uint64(0)
	root := chain.Hash{5}
	for _, tc := range []struct {
		fork                           execution.Fork
		newPayload, forkchoice, answer string
		params                         int // of newPayload
		payload, attributes            []string
	}{
		{execution.Paris, "engine_newPayloadV1", "engine_forkchoiceUpdatedV1", "engine_getPayloadV1", 1, nil, nil},
		{execution.Shanghai, "engine_newPayloadV2", "engine_forkchoiceUpdatedV2", "engine_getPayloadV2", 1, []string{"withdrawals"}, []string{"withdrawals"}},
		{
			execution.Cancun, "engine_newPayloadV3", "engine_forkchoiceUpdatedV3", "engine_getPayloadV3", 3,
			[]string{"blobGasUsed", "excessBlobGas", "withdrawals"},
			[]string{"parentBeaconBlockRoot", "withdrawals"},
		},
		{
			execution.Prague, "engine_newPayloadV4", "engine_forkchoiceUpdatedV3", "engine_getPayloadV4", 4,
			[]string{"blobGasUsed", "excessBlobGas", "withdrawals"},
			[]string{"parentBeaconBlockRoot", "withdrawals"},
		},
	} {
		t.Run(string(tc.fork), func(t *testing.T) {
			s := serve(t, answers)
			c, ctx := client(t, s.URL), t.Context()
			d := &chain.ExecutionData{}
			r := engine.BuildRequest{}
			if tc.fork == execution.Cancun || tc.fork == execution.Prague {
				d.Payload.BlobGasUsed, d.Payload.ExcessBlobGas, d.ParentBeaconRoot, r.ParentBeaconRoot = &zero, &zero, &root, &root
			}
			st, err := c.NewPayload(ctx, tc.fork, d)
			if err != nil || st.Verdict != engine.Valid {
				t.Fatalf("%+v, %v", st, err)
			}
			q := s.last()
			if q.Method != tc.newPayload || len(q.Params) != tc.params {
				t.Errorf("newPayload went as %s with %d parameters", q.Method, len(q.Params))
			}
			want := append(slices.Clone(tc.payload), "parentHash", "feeRecipient", "stateRoot", "receiptsRoot", "logsBloom", "prevRandao", "blockNumber",
				"gasLimit", "gasUsed", "timestamp", "extraData", "baseFeePerGas", "blockHash", "transactions")
			slices.Sort(want)
			if diff := cmp.Diff(want, fields(t, q.Params[0])); diff != "" {
				t.Errorf("fields of the payload (-want +got):\n%s", diff)
			}

			_, id, err := c.ForkchoiceUpdated(ctx, tc.fork, engine.Forkchoice{}, nil)
			if err != nil || id == nil {
				t.Fatalf("%v, %v", id, err)
			}
			if q := s.last(); q.Method != tc.forkchoice || len(q.Params) != 2 || string(q.Params[1]) != "null" {
				t.Errorf("forkchoiceUpdated went as %s with %s", q.Method, q.Params)
			}
			if _, _, err := c.ForkchoiceUpdated(ctx, tc.fork, engine.Forkchoice{}, &r); err != nil {
				t.Fatal(err)
			}
			want = append(slices.Clone(tc.attributes), "timestamp", "prevRandao", "suggestedFeeRecipient")
			slices.Sort(want)
			if diff := cmp.Diff(want, fields(t, s.last().Params[1])); diff != "" {
				t.Errorf("fields of the attributes (-want +got):\n%s", diff)
			}

			built, err := c.Payload(ctx, tc.fork, *id)
			if err != nil || built.Payload.Number != 1 || (built.Requests != nil) != (tc.fork == execution.Prague) {
				t.Errorf("payload %+v, %v", built, err)
			}
			if q := s.last(); q.Method != tc.answer || string(q.Params[0]) != `"0x0102030405060708"` {
				t.Errorf("getPayload went as %s with %s", q.Method, q.Params)
			}
		})
	}
}

func TestMethodsOfNoFork(t *testing.T) {
	s := serve(t, answers)
	c, ctx := client(t, s.URL), t.Context()
	if got, err := c.Capabilities(ctx, []string{"a"}); err != nil || len(got) != 1 || s.last().Method != "engine_exchangeCapabilities" {
		t.Errorf("capabilities %v, %v, as %s", got, err, s.last().Method)
	}
	if got, err := c.Version(ctx); err != nil || got != "geth/1.2.3" {
		t.Errorf("version %q, %v", got, err)
	}
	if got, err := c.Bodies(ctx, []chain.Hash{{1}}); err != nil || len(got) != 1 || got[0] != nil {
		t.Errorf("bodies %v, %v", got, err)
	}
	if _, err := c.Bodies(ctx, []chain.Hash{{1}, {2}}); err == nil {
		t.Error("one body for two hashes was taken")
	}
	want := []string{
		"engine_getPayloadBodiesByHashV1", "engine_newPayloadV2", "engine_forkchoiceUpdatedV2", "engine_getPayloadV2", "engine_newPayloadV3",
		"engine_forkchoiceUpdatedV3", "engine_getPayloadV3", "engine_newPayloadV4", "engine_getPayloadV4",
	}
	if diff := cmp.Diff(want, engineapi.Methods(execution.Shanghai, execution.Cancun, execution.Prague)); diff != "" {
		t.Error(diff)
	}
}
