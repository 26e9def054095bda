package wire

import (
	"errors"
	"fmt"
	"math"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/wire/enginev1"
)

func refToProto(r chain.Ref) *enginev1.Ref {
	return &enginev1.Ref{Height: uint64(r.Height), Hash: r.Hash[:]}
}

func refFromProto(what string, m *enginev1.Ref) (chain.Ref, error) {
	h, err := fixedBytes[chain.Hash](what, m.GetHash())
	return chain.Ref{Height: chain.Height(m.GetHeight()), Hash: h}, err
}

func headsToProto(h engine.Heads) *enginev1.Heads {
	return &enginev1.Heads{Head: refToProto(h.Head), Safe: refToProto(h.Safe), Finalized: refToProto(h.Finalized)}
}

func headsFromProto(m *enginev1.Heads) (engine.Heads, error) {
	head, err := refFromProto("head", m.GetHead())
	if err != nil {
		return engine.Heads{}, err
	}
	safe, err := refFromProto("safe", m.GetSafe())
	if err != nil {
		return engine.Heads{}, err
	}
	finalized, err := refFromProto("finalized", m.GetFinalized())
	return engine.Heads{Head: head, Safe: safe, Finalized: finalized}, err
}

func statusToProto(s engine.Status) *enginev1.StatusResponse {
	return &enginev1.StatusResponse{
		ClientVersion: s.ClientVersion,
		ChainId:       s.ChainID,
		Genesis:       s.Genesis[:],
		Forks: each(s.Forks, func(f engine.Fork) *enginev1.Fork {
			return &enginev1.Fork{Name: f.Name, Timestamp: f.Timestamp}
		}),
		Horizon:   s.Horizon,
		Heads:     headsToProto(s.Heads),
		Syncing:   s.Syncing,
		WalletRpc: s.WalletRPC,
	}
}

func statusFromProto(m *enginev1.StatusResponse) (engine.Status, error) {
	genesis, err := fixedBytes[chain.Hash]("genesis", m.GetGenesis())
	if err != nil {
		return engine.Status{}, err
	}
	heads, err := headsFromProto(m.GetHeads())
	if err != nil {
		return engine.Status{}, err
	}
	if err := errors.Join(
		text("client version", m.GetClientVersion(), maxName),
		text("wallet RPC", m.GetWalletRpc(), maxText),
		atMost("forks", len(m.GetForks()), maxForks),
	); err != nil {
		return engine.Status{}, err
	}
	forks, err := convert("fork", m.GetForks(), func(f *enginev1.Fork) (engine.Fork, error) {
		return engine.Fork{Name: f.GetName(), Timestamp: f.GetTimestamp()}, text("fork name", f.GetName(), maxName)
	})
	return engine.Status{
		ClientVersion: m.GetClientVersion(),
		ChainID:       m.GetChainId(),
		Genesis:       genesis,
		Forks:         forks,
		Horizon:       m.Horizon,
		Heads:         heads,
		Syncing:       m.GetSyncing(),
		WalletRPC:     m.GetWalletRpc(),
	}, err
}

func withdrawalToProto(w chain.Withdrawal) *enginev1.Withdrawal {
	return &enginev1.Withdrawal{
		Index: w.Index, Validator: w.Validator, Address: w.Address[:], AmountGwei: uint64(w.Amount),
	}
}

func withdrawalFromProto(m *enginev1.Withdrawal) (chain.Withdrawal, error) {
	a, err := fixedBytes[chain.Address]("address", m.GetAddress())
	return chain.Withdrawal{
		Index: m.GetIndex(), Validator: m.GetValidator(), Address: a, Amount: chain.Gwei(m.GetAmountGwei()),
	}, err
}

func buildRequestToProto(r engine.BuildRequest) *enginev1.BuildRequest {
	return &enginev1.BuildRequest{
		Parent:           r.Parent[:],
		Timestamp:        r.Timestamp,
		FeeRecipient:     r.FeeRecipient[:],
		PrevRandao:       r.PrevRandao[:],
		Withdrawals:      each(r.Withdrawals, withdrawalToProto),
		ParentBeaconRoot: optionalHashBytes(r.ParentBeaconRoot),
		GasLimit:         r.GasLimit,

		AnswerByUnixMilli: int64(r.AnswerBy),
	}
}

func buildRequestFromProto(m *enginev1.BuildRequest) (engine.BuildRequest, error) {
	parent, err1 := fixedBytes[chain.Hash]("parent", m.GetParent())
	fee, err2 := fixedBytes[chain.Address]("fee recipient", m.GetFeeRecipient())
	randao, err3 := fixedBytes[chain.Hash]("prev randao", m.GetPrevRandao())
	withdrawals, err4 := convert("withdrawal", m.GetWithdrawals(), withdrawalFromProto)
	beacon, err5 := optionalHash("parent beacon root", m.ParentBeaconRoot)
	return engine.BuildRequest{
		Parent:           parent,
		Timestamp:        m.GetTimestamp(),
		FeeRecipient:     fee,
		PrevRandao:       randao,
		Withdrawals:      withdrawals,
		ParentBeaconRoot: beacon,
		GasLimit:         m.GetGasLimit(),
		AnswerBy:         chain.UnixMilli(m.GetAnswerByUnixMilli()),
	}, errors.Join(err1, err2, err3, err4, err5)
}

func addResultToProto(r engine.AddResult) *enginev1.AddResult {
	return &enginev1.AddResult{Code: string(r.Code), Text: errorText(r.Text)}
}

// addResultFromProto lets a code pass that this host does not know: it means that the transaction was not taken.
func addResultFromProto(m *enginev1.AddResult) (engine.AddResult, error) {
	if m.GetCode() == "" {
		return engine.AddResult{}, errors.New("code is empty")
	}
	return engine.AddResult{Code: engine.AddCode(m.GetCode()), Text: errorText(m.GetText())},
		text("code", m.GetCode(), maxName)
}

func importResultToProto(r engine.ImportResult) *enginev1.ImportResponse {
	return &enginev1.ImportResponse{
		Statuses: each(r.Statuses, func(s engine.PayloadStatus) *enginev1.PayloadStatus {
			return &enginev1.PayloadStatus{
				Hash: s.Hash[:], Verdict: string(s.Verdict), LatestValid: s.LatestValid[:], Reason: s.Reason,
			}
		}),
		Heads: headsToProto(r.Heads),
	}
}

// importResultFromProto checks an answer against its request: the statuses are those of the first payloads, in order,
// and a run that stops early stops at a payload that is not Valid.
func importResultFromProto(m *enginev1.ImportResponse, r engine.ImportRequest) (engine.ImportResult, error) {
	got, want := len(m.GetStatuses()), len(r.Payloads)
	if got > want {
		return engine.ImportResult{}, fmt.Errorf("%d statuses for %d payloads", got, want)
	}
	next := 0
	statuses, err := convert("status", m.GetStatuses(), func(p *enginev1.PayloadStatus) (engine.PayloadStatus, error) {
		s, err := payloadStatusFromProto(p)
		if err != nil {
			return s, err
		}
		if asked := r.Payloads[next].Payload.BlockHash; s.Hash != asked {
			return s, fmt.Errorf("judges %s, want %s", s.Hash, asked)
		}
		next++
		if s.Verdict != engine.Valid && next < got {
			return s, fmt.Errorf("run goes on after %s", s.Verdict)
		}
		return s, nil
	})
	if err != nil {
		return engine.ImportResult{}, err
	}
	if got < want && (got == 0 || statuses[got-1].Verdict == engine.Valid) {
		return engine.ImportResult{}, fmt.Errorf("run of %d payloads stops after %d without a reason", want, got)
	}
	heads, err := headsFromProto(m.GetHeads())
	return engine.ImportResult{Statuses: statuses, Heads: heads}, err
}

func payloadStatusFromProto(m *enginev1.PayloadStatus) (engine.PayloadStatus, error) {
	s := engine.PayloadStatus{Verdict: engine.Verdict(m.GetVerdict()), Reason: m.GetReason()}
	switch s.Verdict {
	case engine.Valid, engine.Invalid, engine.Syncing:
	default:
		return s, fmt.Errorf("verdict %q is unknown", errorText(m.GetVerdict()))
	}
	var err error
	if s.Hash, err = fixedBytes[chain.Hash]("hash", m.GetHash()); err != nil {
		return s, err
	}
	if s.LatestValid, err = fixedBytes[chain.Hash]("latest valid", m.GetLatestValid()); err != nil {
		return s, err
	}
	return s, text("reason", s.Reason, maxText)
}

func receiptToProto(r chain.Receipt) *enginev1.Receipt {
	return &enginev1.Receipt{
		Type:              uint32(r.Type),
		Success:           r.Success,
		CumulativeGasUsed: r.CumulativeGasUsed,
		LogsBloom:         r.LogsBloom[:],
		Logs: each(r.Logs, func(l chain.Log) *enginev1.Log {
			return &enginev1.Log{
				Address: l.Address[:],
				Topics:  each(l.Topics, func(t chain.Hash) []byte { return t[:] }),
				Data:    l.Data,
			}
		}),
	}
}

func receiptFromProto(m *enginev1.Receipt) (chain.Receipt, error) {
	if m.GetType() > math.MaxUint8 {
		return chain.Receipt{}, fmt.Errorf("type %d is not one byte", m.GetType())
	}
	bloom, err := fixedBytes[[256]byte]("logs bloom", m.GetLogsBloom())
	if err != nil {
		return chain.Receipt{}, err
	}
	logs, err := convert("log", m.GetLogs(), logFromProto)
	return chain.Receipt{
		Type:              uint8(m.GetType()),
		Success:           m.GetSuccess(),
		CumulativeGasUsed: m.GetCumulativeGasUsed(),
		LogsBloom:         bloom,
		Logs:              logs,
	}, err
}

func logFromProto(m *enginev1.Log) (chain.Log, error) {
	if err := atMost("topics", len(m.GetTopics()), maxTopics); err != nil {
		return chain.Log{}, err
	}
	address, err := fixedBytes[chain.Address]("address", m.GetAddress())
	if err != nil {
		return chain.Log{}, err
	}
	topics, err := convert("topic", m.GetTopics(), func(b []byte) (chain.Hash, error) {
		return fixedBytes[chain.Hash]("topic", b)
	})
	return chain.Log{Address: address, Topics: topics, Data: m.GetData()}, err
}
