package liars

import (
	"strings"

	"github.com/alys-node/alys/core/host"
)

// Source is the package of the liar, for go build.
const Source = "github.com/alys-node/alys/core/internal/liars/testdata/liar"

// Outcome is what becomes of a route that an apply points at a liar.
type Outcome string

// The outcomes.
const (
	// Refused: the apply fails, and the old signer never left its route.
	Refused Outcome = "refused"
	// FlippedBack: it is admitted, and found out in its probation.
	FlippedBack Outcome = "flipped back"
	// Harmless: it signs what it should, and what it does beside that touches nobody.
	Harmless Outcome = "harmless"
)

// Liar is one way to lie.
type Liar struct {
	Mode string // the value of the environment variable LIAR; a word that no message has, because such values are hidden
	Does string // for people
	Pin  string // the checksum that alys.hcl pins; empty: none
	// Start is the error of host.Launch; nil for a plugin that comes up.
	Start error
	// Outcome is that of an apply, and Reads are parts of what it, or afterwards `alys status`, prints: what is wrong,
	// where, and what to do. Line breaks are not told apart from spaces.
	Outcome Outcome
	Reads   []string
	// Alone: only the host's own test starts it; to a node's operator it reads like the one before it.
	Alone bool
}

// pluginBlock is where a finding about a liar points: its block in alys.hcl, with the line.
const pluginBlock = `in plugin "signer" "bad"`

// All lists the liars.
func All() []Liar {
	return []Liar{
		{
			Mode: "garbage", Does: "prints on stdout before the handshake, and stays", Start: host.ErrHandshake, Outcome: Refused,
			Reads: []string{pluginBlock, `it printed "Starting up, please wait …" on stdout`, "logs belong on stderr"},
		},
		{
			Mode: "noise", Does: "writes random bytes to stdout for ever", Start: host.ErrHandshake, Outcome: Refused,
			Reads: []string{pluginBlock, "it printed bytes that are no text on stdout", "logs belong on stderr"},
		},
		{
			Mode: "silent", Does: "never begins the handshake", Start: host.ErrStartTimeout, Outcome: Refused,
			Reads: []string{pluginBlock, "did not become ready in time", "it printed no handshake on stdout", "raise start_timeout"},
		},
		{Mode: "frozen", Does: "stops itself before the handshake", Start: host.ErrStartTimeout, Alone: true},
		{
			Mode: "exits", Does: "exits at once", Start: host.ErrExited, Outcome: Refused,
			Reads: []string{pluginBlock, "exit status 3", "cannot open the thing", "run it by hand"},
		},
		{
			Mode: "speaks-99", Does: "speaks another protocol version", Start: host.ErrProtocolVersion, Outcome: Refused,
			Reads: []string{pluginBlock, `it speaks version "99", this host version 1`, "install a release of the plugin for this version of alys"},
		},
		{
			Mode: "is-an-engine", Does: "says that it is an engine", Start: host.ErrWrongKind, Outcome: Refused,
			Reads: []string{pluginBlock, `it says that its kind is "engine"`, "check the kind in the plugin block"},
		},
		{
			Mode: "garbage-replies", Does: "answers every call with bytes that are no message", Start: host.ErrHandshake, Outcome: Refused,
			Reads: []string{pluginBlock, "Describe", "build the plugin with the SDK"},
		},
		{
			Mode: "huge", Does: "answers every call with 80 MiB", Start: host.ErrHandshake, Outcome: Refused,
			Reads: []string{pluginBlock, "Describe", "larger than max", "64 MiB"},
		},
		{
			Mode: "hang-describe", Does: "shakes hands and answers nothing", Start: host.ErrStartTimeout, Outcome: Refused,
			Reads: []string{pluginBlock, "did not become ready in time", "Describe", "raise start_timeout"},
		},
		{
			Mode: "hang-configure", Does: "never comes back from its configuration", Start: host.ErrStartTimeout, Outcome: Refused,
			Reads: []string{`plugin "signer" "bad"`, "did not become ready in time", "Configure", "start_timeout", "the old route serves"},
		},
		{
			Mode: "none", Does: "is another file than the one that is pinned", Start: host.ErrChecksum, Outcome: Refused,
			Pin:   "sha256:" + strings.Repeat("ab", 32),
			Reads: []string{pluginBlock, "checksum does not match", "sha256:abab", "alys plugin pin"},
		},
		{
			Mode: "mute", Does: "lists no key", Outcome: Refused,
			Reads: []string{"signer.bad", "does not hold a key that the route signs with", "alys keys list", "the old route serves"},
		},
		{
			Mode: "garbage-keys", Does: "lists a key for a purpose that does not exist", Outcome: Refused,
			Reads: []string{"signer.bad", "does not hold a key that the route signs with", "alys keys list", "the old route serves"},
		},
		{
			Mode: "wrong-key", Does: "signs the challenge with another key than it lists", Outcome: Refused,
			Reads: []string{"signer.bad", "did not prove that it can use a key", "does not verify", "the old route serves"},
		},
		{
			Mode: "lies-at-once", Does: "signs another challenge", Outcome: Refused,
			Reads: []string{"signer.bad", "did not prove that it can use a key", "does not verify", "the old route serves"},
		},
		{
			Mode: "wrong-key-later", Does: "is admitted, and signs blocks with another key", Outcome: FlippedBack,
			Reads: []string{"flipped back", "signer.bad gave no good answer", "signature", "apply --retry"},
		},
		{
			Mode: "garbage-signature", Does: "answers with random bytes of the right length", Outcome: FlippedBack,
			Reads: []string{"flipped back", "signer.bad gave no good answer", "signature", "apply --retry"},
		},
		{
			Mode: "hang-health", Does: "stops answering questions about its health", Outcome: FlippedBack,
			Reads: []string{"flipped back", "signer.bad crashed", "Health: context deadline exceeded", "apply --retry"},
		},
		{Mode: "prints", Does: "prints on stdout after the handshake", Outcome: Harmless},
		{Mode: "exits-in-drain", Does: "exits while it is drained", Outcome: Harmless},
		{Mode: "hang-drain", Does: "never comes back from its drain", Outcome: Harmless},
		{Mode: "leaks", Does: "leaves children behind, one of them twice removed, in sessions of their own", Outcome: Harmless},
		{Mode: "floods", Does: "writes to stdout, stderr and the log as fast as it can", Outcome: Harmless},
	}
}
