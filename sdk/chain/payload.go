package chain

// Withdrawal is one entry of a payload's withdrawals (EIP-4895). alys mints with them: peg-ins, fees, refunds.
type Withdrawal struct {
	Index     uint64 // a running counter over the chain
	Validator uint64 // always 0
	Address   Address
	Amount    Gwei
}

// Payload is an execution payload with every field up to Prague (execution-apis ExecutionPayloadV3).
type Payload struct {
	ParentHash    Hash
	FeeRecipient  Address
	StateRoot     Hash
	ReceiptsRoot  Hash
	LogsBloom     [256]byte
	PrevRandao    Hash
	Number        Height
	GasLimit      uint64
	GasUsed       uint64
	Timestamp     uint64 // unix seconds
	ExtraData     []byte // at most 32 bytes
	BaseFeePerGas Wei
	BlockHash     Hash
	Transactions  [][]byte // EIP-2718 envelopes
	Withdrawals   []Withdrawal
	BlobGasUsed   *uint64 // nil before Cancun, then 0
	ExcessBlobGas *uint64 // nil before Cancun
}

// ExecutionData is a payload with what the Engine API passes beside it: enough to import the block again at any time.
type ExecutionData struct {
	Payload          Payload
	ParentBeaconRoot *Hash    // nil before Cancun, then the parent's block hash (design: payload fields are fixed)
	Requests         [][]byte // EIP-7685, type byte first, ascending, none empty; nil before Prague
}

// Log is one event of a receipt.
type Log struct {
	Address Address
	Topics  []Hash // at most 4
	Data    []byte
}

// Receipt is a transaction's receipt with the fields that the receipts root commits to (EIP-658, EIP-2718) and those
// that the fee rule needs.
type Receipt struct {
	Type              uint8 // EIP-2718 transaction type
	Success           bool
	CumulativeGasUsed uint64
	LogsBloom         [256]byte
	Logs              []Log
}
