package output

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Limits bound what is forwarded and kept.
type Limits struct {
	LinesPerSecond int // forwarded; five times as many in a burst
	LineBytes      int // longer lines are cut
	LastLines      int // kept for Last
	PanicBytes     int // kept for Panic
}

// Forwarder forwards the lines of one process. Its methods may be called concurrently.
type Forwarder struct {
	log    hclog.Logger
	limits Limits

	mu      sync.Mutex // guards all below
	bucket  bucket
	last    []string
	panicky bool
	panic   strings.Builder
	lost    uint64 // since the last entry that went through
	total   uint64 // lost since the start
}

// New makes a forwarder that logs to log.
func New(log hclog.Logger, limits Limits) *Forwarder {
	return &Forwarder{log: log, limits: limits, bucket: newBucket(limits.LinesPerSecond)}
}

// Copy forwards r line by line until it ends or cannot be read, then closes it.
func (f *Forwarder) Copy(r io.ReadCloser) {
	defer func() { _ = r.Close() }()
	br := bufio.NewReaderSize(r, max(f.limits.LineBytes, 16))
	for {
		line, err := readLine(br)
		if line != "" {
			f.Line(line)
		}
		if err != nil {
			f.flush()
			return
		}
	}
}

// readLine returns one line without its end, cut to the reader's buffer; what was cut off is skipped.
func readLine(br *bufio.Reader) (string, error) {
	raw, err := br.ReadSlice('\n')
	line := clean(raw)
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = br.ReadSlice('\n')
	}
	return line, err
}

// Line forwards one line.
func (f *Forwarder) Line(line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remember(line)
	if !f.bucket.take(time.Now()) {
		f.lost++
		f.total++
		return
	}
	f.tellLost()
	e := parse(line)
	if f.panicky && e.level < hclog.Error {
		e.level = hclog.Error
	}
	f.log.Log(e.level, e.message, e.pairs...)
}

// Last is what explains an end best: the first lines of a panic if there was one, else the last lines printed. Structured
// lines are shortened to level, message and pairs.
func (f *Forwarder) Last() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	lines := append([]string(nil), f.last...)
	if f.panicky {
		lines = strings.Split(strings.TrimRight(f.panic.String(), "\n"), "\n")
		lines = lines[:min(len(lines), f.limits.LastLines)]
	}
	for i, line := range lines {
		lines[i] = shorten(line)
	}
	return lines
}

// Panic is the text of a Go panic or fatal error, if one was printed.
func (f *Forwarder) Panic() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.TrimRight(f.panic.String(), "\n")
}

// Lost is how many lines the rate limit dropped so far.
func (f *Forwarder) Lost() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.total
}

// remember keeps the lines before a panic in a ring, and everything from its first line on as the panic.
func (f *Forwarder) remember(line string) {
	if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
		f.panicky = true
	}
	switch {
	case f.panicky && f.panic.Len()+len(line) < f.limits.PanicBytes:
		f.panic.WriteString(line + "\n")
	case f.panicky || f.limits.LastLines == 0 || line == "":
	default:
		if len(f.last) == f.limits.LastLines {
			f.last = f.last[1:]
		}
		f.last = append(f.last, line)
	}
}

func (f *Forwarder) flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tellLost()
}

func (f *Forwarder) tellLost() {
	if f.lost > 0 {
		f.log.Warn("plugin logs too fast, lines dropped", "dropped", f.lost)
		f.lost = 0
	}
}

// bucket is a token bucket: rate tokens a second, five seconds' worth at most.
type bucket struct {
	rate, tokens float64
	at           time.Time
}

func newBucket(rate int) bucket {
	return bucket{rate: float64(rate), tokens: 5 * float64(rate)}
}

func (b *bucket) take(now time.Time) bool {
	if !b.at.IsZero() {
		b.tokens = min(b.tokens+now.Sub(b.at).Seconds()*b.rate, 5*b.rate)
	}
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// Writer takes output in pieces, such as go-plugin's copy of a plugin's stdout, and forwards whole lines.
func (f *Forwarder) Writer() io.Writer { return &lines{f: f} }

// lines is used by one goroutine.
type lines struct {
	f    *Forwarder
	rest []byte
}

// Write keeps what is after the last line end for the next call; a piece without any end is cut as a long line is.
func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte{'\n'})
		if !ok {
			break
		}
		l.rest = rest
		if len(line) > 0 {
			l.f.Line(clean(line[:min(len(line), l.f.limits.LineBytes)]))
		}
	}
	if len(l.rest) > l.f.limits.LineBytes {
		l.f.Line(clean(l.rest))
		l.rest = nil
	}
	return len(p), nil
}

// clean makes a line valid UTF-8 without its end.
func clean(raw []byte) string {
	return strings.TrimRight(strings.ToValidUTF8(string(raw), "\uFFFD"), "\r\n")
}
