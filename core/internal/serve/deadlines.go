package serve

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// pieceBytes is how much of an answer one deadline is for: a slow reader of a long answer is not a dead one.
const pieceBytes = 64 << 10

// answer gives each piece of an answer a deadline of its own. A client that stopped reading holds nothing for long, and a
// stream whose pieces are far apart goes on. A connection that was taken over (WebSockets) has no deadline any more.
type answer struct {
	http.ResponseWriter
	control *http.ResponseController
	limit   time.Duration
	taken   bool
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Write writes piece by piece.
func (a *answer) Write(p []byte) (int, error) {
	for n := 0; ; {
		a.extend()
		m, err := a.ResponseWriter.Write(p[n:min(n+pieceBytes, len(p))])
		if n += m; err != nil || n == len(p) {
			return n, err
		}
	}
}

// FlushError is what http.ResponseController flushes with.
func (a *answer) FlushError() error {
	a.extend()
	return a.control.Flush()
}

// Hijack takes the connection over, which ends its deadlines.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.taken = true
	return a.control.Hijack()
}

// extend gives what is written next its time. A connection that takes no deadline is one of a test.
func (a *answer) extend() {
	if !a.taken {
		_ = a.control.SetWriteDeadline(time.Now().Add(a.limit))
	}
}

// limitBody gives a request's body its time. Once it is read nothing is waited for any more but the answer: a deadline
// that stayed would end the request's context.
func limitBody(r *http.Request, control *http.ResponseController, limit time.Duration) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	if control.SetReadDeadline(time.Now().Add(limit)) == nil {
		r.Body = &body{r.Body, control}
	}
}

// body takes the deadline away when it ends.
type body struct {
	io.ReadCloser
	control *http.ResponseController
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
