package blackboxtest

import (
	"testing"
	"time"

	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signertest"
)

// Bounds that Options may change. They only end what would hang: a sound plugin on a busy machine stays far below.
const (
	defaultStart = 30 * time.Second
	defaultCall  = 20 * time.Second
)

// Options say what to test.
type Options struct {
	// Path is the binary.
	Path string
	// Kind is the kind that it must have; empty finds out.
	Kind lifecycle.Kind
	// ConfigJSON is the plugin's own block as the node hands it over: an object with every argument of the schema,
	// durations in milliseconds, sizes in bytes, paths absolute. Empty means an empty object. Give a signer keys that are
	// for tests only: the suite signs with them, for a chain of its own.
	ConfigJSON []byte
	// KeepsNothing says that the signer's guard is in memory only and that its documentation says so. What it has signed
	// before a kill is then held against it only as far as the floor goes that the node raises at every start.
	KeepsNothing bool
	// KeyPolicy is what a signer with key administration refuses, and its documentation says so: a refusal that is named
	// here is wanted. What is not refused is done, in the keystore that ConfigJSON names.
	KeyPolicy signertest.KeyPolicy
	// Env are variables of the plugin beside those that the node gives: "NAME=value".
	Env []string
	// StartTimeout bounds a start, from exec to health; 0 means 30 s.
	StartTimeout time.Duration
	// CallTimeout bounds one call; 0 means 20 s.
	CallTimeout time.Duration
}

func (o Options) withDefaults() Options {
	if o.StartTimeout == 0 {
		o.StartTimeout = defaultStart
	}
	if o.CallTimeout == 0 {
		o.CallTimeout = defaultCall
	}
	if len(o.ConfigJSON) == 0 {
		o.ConfigJSON = []byte("{}")
	}
	return o
}

// Run checks a plugin, one subtest a row. It starts some dozens of processes and leaves none.
func Run(t *testing.T, o Options) {
	t.Helper()
	s := newSubject(t, o.withDefaults())
	for _, r := range Rows() {
		t.Run(r.ID, func(t *testing.T) {
			t.Attr(AttrTitle, r.Title)
			t.Attr(AttrSee, r.Page())
			c := &check{T: t, row: r, s: s}
			if !c.runnable() {
				return
			}
			r.run(c)
		})
	}
}

// A Row is one line of the scored table.
type Row struct {
	ID    string // the subtest's name and its anchor in README.md
	Title string

	needs need
	run   func(*check)
}

// need is what a row cannot run without.
type need uint8

const (
	nothing   need = iota
	handshake      // the plugin answers Describe
	config         // its configuration is valid
)

// Rows lists the rows in the order in which they run.
func Rows() []Row {
	return []Row{
		{"handshake", "it starts and is reached", nothing, checkHandshake},
		{"by-hand", "run by hand it says what it is", nothing, checkByHand},
		{"wrong-kind", "started as another kind it ends", handshake, checkWrongKind},
		{"versions", "the protocol version is negotiated", handshake, checkVersions},
		{"describe", "it says who it is, always the same", handshake, checkDescription},
		{"schema", "its config block has a sound shape", handshake, checkSchema},
		{"bad-config", "a bad config is found and refused", handshake, checkBadConfig},
		{"probe", "before Configure it touches nothing", handshake, checkProbe},
		{"lifecycle", "the lifecycle's order is kept", config, checkLifecycle},
		{"double-start", "two of it run side by side", config, checkDoubleStart},
		{"deadlines", "calls end with their deadline", config, checkDeadlines},
		{"sigterm", "SIGTERM is ignored until Drain", config, checkSigterm},
		{"sigstop", "frozen it is seen, and can be killed", config, checkSigstop},
		{"big-message", "a message of 32 MiB is answered", handshake, checkBigMessage},
		{"kill-9", "after kill -9 it goes on from its folder", config, checkKill},
		{"orphan", "it ends when its host is killed", handshake, checkOrphan},
		{"logs", "its logs have levels and no secrets", config, checkLogs},
		{"stdout", "stdout holds the handshake only", handshake, checkStdout},
		{"leaks", "no process, file or descriptor leaks", config, checkLeaks},
		{"contract", "the contract of its kind", config, checkContract},
	}
}
