package watermark

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// ErrCorrupt means that a guard file is damaged. The signer signs nothing with it.
var ErrCorrupt = errors.New("guard file is damaged")

const format = "alys-signer-guard/1"

// tempPrefix begins the name of a file that is being written; Open removes what a crash left.
const tempPrefix = ".tmp-"

// maxFile is the longest guard file that is read, in bytes; approvals are compacted long before.
const maxFile = 1 << 30

// line is one record of a file; the first is the head, which names the format, chain and subject.
type line struct {
	Kind     string       `json:"kind"` // head, approval, floor or spend
	Format   string       `json:"format,omitempty"`
	Genesis  *chain.Hash  `json:"genesis,omitempty"`
	Subject  signer.KeyID `json:"subject,omitempty"` // the key, or "bitcoin"
	Slot     chain.Slot   `json:"slot,omitempty"`
	Height   chain.Height `json:"height,omitempty"`
	Block    *chain.Hash  `json:"block,omitempty"`
	Payment  *chain.Hash  `json:"payment,omitempty"`
	TxID     *chain.Hash  `json:"txid,omitempty"` // natural byte order
	Outpoint []string     `json:"outpoints,omitempty"`
}

// The kinds of lines.
const (
	kindHead     = "head"
	kindApproval = "approval"
	kindFloor    = "floor"
	kindSpend    = "spend"
)

// journal is one open guard file. Its owner serializes the calls.
type journal struct {
	file *os.File
	path string
	size int64
	head [32]byte // hash of the last line
	err  error    // once set, nothing is recorded any more
}

// createJournal makes a new file with its first lines, durably, in place of any at path.
func createJournal(path string, lines []line) (*journal, error) {
	j := &journal{path: path}
	var content []byte
	for _, l := range lines {
		b, hash, err := encodeLine(j.head, l)
		if err != nil {
			return nil, err
		}
		content, j.head = append(content, b...), hash
	}
	j.size = int64(len(content))
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix+"*")
	if err != nil {
		return nil, err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), removeTemp(f.Name()))
	}
	j.file = f
	return j, nil
}

// openJournal reads a file, hands its lines to apply, and cuts off a last line that was never finished. cut is how many
// bytes that was.
func openJournal(path string, apply func(line) error) (j *journal, cut int, err error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if st.Size() > maxFile {
		return nil, 0, fmt.Errorf("%s has %d bytes: %w", path, st.Size(), ErrCorrupt)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, err
	}
	j = &journal{path: path}
	rest := content
	for n := 1; ; n++ {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			break
		}
		l, hash, err := decodeLine(j.head, rest[:end])
		if err == nil {
			err = apply(l)
		}
		if err != nil {
			return nil, 0, fmt.Errorf("%s line %d: %w", path, n, err)
		}
		j.head, rest = hash, rest[end+1:]
	}
	j.size = int64(len(content) - len(rest))
	if j.size == 0 {
		return nil, 0, fmt.Errorf("%s has no first line: %w", path, ErrCorrupt)
	}
	if j.file, err = os.OpenFile(path, os.O_RDWR, 0o600); err != nil {
		return nil, 0, err
	}
	if len(rest) > 0 {
		if err := errors.Join(j.file.Truncate(j.size), j.file.Sync()); err != nil {
			return nil, 0, errors.Join(err, j.file.Close())
		}
	}
	return j, len(rest), nil
}

// append makes one line durable. After a failure the file is brought back to what it was; where even that fails,
// nothing more is recorded.
func (j *journal) append(l line) error {
	if j.checkPlace(); j.err != nil {
		return j.err
	}
	b, hash, err := encodeLine(j.head, l)
	if err != nil {
		return err
	}
	_, err = j.file.WriteAt(b, j.size)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		if undo := errors.Join(j.file.Truncate(j.size), j.file.Sync()); undo != nil {
			j.err = fmt.Errorf("guard file %s is in doubt, restart the signer: %w", j.path, undo)
		}
		return err
	}
	j.size, j.head = j.size+int64(len(b)), hash
	return nil
}

// checkPlace stops all recording when another file stands at the path: what were written would not be found again.
func (j *journal) checkPlace() {
	if j.err != nil {
		return
	}
	ours, err1 := j.file.Stat()
	there, err2 := os.Stat(j.path)
	if err := errors.Join(err1, err2); err != nil || !os.SameFile(ours, there) {
		j.err = errors.Join(fmt.Errorf("guard file %s was replaced or moved: put it back and restart the signer", j.path), err)
	}
}

func (j *journal) close() error { return j.file.Close() }

func encodeLine(prev [32]byte, l line) ([]byte, [32]byte, error) {
	body, err := json.Marshal(l)
	if err != nil {
		return nil, prev, fmt.Errorf("encode guard record: %w", err)
	}
	hash := lineHash(prev, body)
	b := make([]byte, 0, 2*len(hash)+len(body)+2)
	b = append(hex.AppendEncode(b, hash[:]), ' ')
	return append(append(b, body...), '\n'), hash, nil
}

func decodeLine(prev [32]byte, b []byte) (line, [32]byte, error) {
	var l line
	sum, body, ok := bytes.Cut(b, []byte{' '})
	hash := lineHash(prev, body)
	if !ok || string(sum) != hex.EncodeToString(hash[:]) {
		return l, prev, fmt.Errorf("its hash does not match: %w", ErrCorrupt)
	}
	if err := json.Unmarshal(body, &l); err != nil {
		return l, prev, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return l, hash, nil
}

func lineHash(prev [32]byte, body []byte) [32]byte {
	d := sha256.New()
	d.Write(prev[:])
	d.Write(body)
	return [32]byte(d.Sum(nil))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func removeTemp(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
