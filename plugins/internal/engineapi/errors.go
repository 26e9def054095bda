package engineapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/ethereum/go-ethereum/rpc"

	"github.com/alys-node/alys/sdk/engine"
)

// Errors of a connection. Both are engine.ErrUnavailable, too.
var (
	// ErrNoAnswer means that no answer came: the client is away, hangs, or speaks something else.
	ErrNoAnswer = fmt.Errorf("%w: no answer", engine.ErrUnavailable)
	// ErrSlow is the ErrNoAnswer of a client that took more time than its method may.
	ErrSlow = fmt.Errorf("%w in time", ErrNoAnswer)
	// ErrUnauthorized means that the client refused the token.
	ErrUnauthorized = fmt.Errorf("%w: the token was refused", engine.ErrUnavailable)
)

// Codes of JSON-RPC and of the Engine API (execution-apis src/engine/common.md).
const (
	CodeMethodNotFound    = -32601
	CodeInvalidParams     = -32602
	CodeUnknownPayload    = -38001
	CodeInvalidForkchoice = -38002
	CodeInvalidAttributes = -38003
	CodeTooLarge          = -38004
	CodeUnsupportedFork   = -38005
	CodeTooDeepReorg      = -38006
)

// maxText bounds what is repeated of a client's own words, in bytes.
const maxText = 512

// Error is an error that the client answered with. It unwraps to the error of sdk/engine that its code stands for.
type Error struct {
	Method string
	Code   int
	Text   string // the client's words
}

// Error says which method failed and why.
func (e *Error) Error() string { return fmt.Sprintf("%s: %s (code %d)", e.Method, e.Text, e.Code) }

// Unwrap is the sentinel of the code. Invalid parameters are a fork that the client sees elsewhere: payloads and
// attributes are complete for the fork that the genesis gives, and geth answers a version outside its fork so.
func (e *Error) Unwrap() error {
	switch e.Code {
	case CodeUnsupportedFork, CodeInvalidParams:
		return engine.ErrUnsupportedFork
	case CodeTooDeepReorg:
		return engine.ErrDidNotMove
	case CodeInvalidForkchoice:
		return engine.ErrUnknownBlock
	case CodeInvalidAttributes, CodeTooLarge: // what was asked for cannot be had, from any engine
		return nil
	}
	return engine.ErrUnavailable // CodeUnknownPayload too: the client forgot what it was building
}

// Lacks reports that the client does not have the method.
func Lacks(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == CodeMethodNotFound
}

func isCoded(err error) bool {
	var e *Error
	return errors.As(err, &e)
}

// explain sorts the errors of go-ethereum's client.
func (c *Conn) explain(ctx context.Context, method string, err error) error {
	var (
		coded  rpc.Error
		status rpc.HTTPError
	)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", method, ctx.Err())
	case errors.As(err, &coded):
		return &Error{Method: method, Code: coded.ErrorCode(), Text: words(coded)}
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w (%s) to %s from %s", ErrSlow, timeout(method), method, c.url)
	case errors.As(err, &status):
		body := clip(string(status.Body))
		if c.secret.Load() != nil && (status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden) {
			return fmt.Errorf("%w by %s (%s: %s): is jwt_secret the file that the client was started with, and are the two clocks "+
				"within a minute?", ErrUnauthorized, c.url, status.Status, body)
		}
		return fmt.Errorf("%w to %s from %s: HTTP %s: %s", ErrNoAnswer, method, c.url, status.Status, body)
	}
	return fmt.Errorf("%w to %s from %s: %w", ErrNoAnswer, method, c.url, err)
}

// words is an error's message with its data, which holds the reason in geth.
func words(err rpc.Error) string {
	text := err.Error()
	if with, ok := err.(rpc.DataError); ok && with.ErrorData() != nil {
		text += fmt.Sprintf(": %v", with.ErrorData())
	}
	return clip(text)
}

// clip makes a client's words fit to be shown.
func clip(text string) string {
	text = strings.ToValidUTF8(strings.TrimSpace(text), "?")
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}
