package wire

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/syncer"
)

// ErrorDomain is the domain of the google.rpc.ErrorInfo details that carry the identity of errors.
const ErrorDomain = "alys.plugin"

// maxErrorText bounds the text of one error, in bytes: gRPC carries it in a header.
const maxErrorText = 4096

// sentinel ties an error of a contract to its name on the wire.
type sentinel struct {
	reason string
	err    error
	code   codes.Code
}

// sentinels lists every error that keeps its identity. A reason, once released, is never given to another error.
func sentinels() []sentinel {
	return []sentinel{
		{"PLUGIN_NOT_CONFIGURED", lifecycle.ErrNotConfigured, codes.FailedPrecondition},
		{"PLUGIN_CONFIGURED", lifecycle.ErrConfigured, codes.FailedPrecondition},
		{"PLUGIN_DRAINING", lifecycle.ErrDraining, codes.Unavailable},
		{"PLUGIN_UNSUPPORTED", lifecycle.ErrUnsupported, codes.Unimplemented},

		{"SIGNER_REFUSED", signer.ErrRefused, codes.PermissionDenied},
		{"SIGNER_UNKNOWN_KEY", signer.ErrUnknownKey, codes.NotFound},
		{"SIGNER_LOCKED", signer.ErrLocked, codes.FailedPrecondition},
		{"SIGNER_UNAVAILABLE", signer.ErrUnavailable, codes.Unavailable},
		{"SIGNER_WRONG_PASSWORD", signer.ErrWrongPassword, codes.Unauthenticated},

		{"ENGINE_SYNCING", engine.ErrSyncing, codes.FailedPrecondition},
		{"ENGINE_UNSUPPORTED_FORK", engine.ErrUnsupportedFork, codes.OutOfRange},
		{"ENGINE_UNKNOWN_BLOCK", engine.ErrUnknownBlock, codes.NotFound},
		{"ENGINE_DID_NOT_MOVE", engine.ErrDidNotMove, codes.Aborted},
		{"ENGINE_UNAVAILABLE", engine.ErrUnavailable, codes.Unavailable},

		{"SYNCER_STALE_EPOCH", syncer.ErrStaleEpoch, codes.FailedPrecondition},
		{"SYNCER_NO_CREDIT", syncer.ErrNoCredit, codes.ResourceExhausted},
		{"SYNCER_BAD_ORDER", syncer.ErrBadOrder, codes.InvalidArgument},

		{"DEADLINE_EXCEEDED", context.DeadlineExceeded, codes.DeadlineExceeded},
		{"CANCELLED", context.Canceled, codes.Canceled},
	}
}

// EncodeError turns an error of a contract into a gRPC status error with one ErrorInfo for each sentinel that the error
// is. An error that is none of them becomes Internal, also when it came from another gRPC service: a remote's status is
// not the plugin's. nil stays nil.
func EncodeError(err error) error {
	if err == nil {
		return nil
	}
	var bad *requestError
	if errors.As(err, &bad) {
		return bad
	}
	st := status.New(codes.Internal, errorText(err.Error()))
	for i, s := range reasonsOf(err) {
		if i == 0 {
			st = status.New(s.code, errorText(err.Error()))
		}
		with, detailErr := st.WithDetails(&errdetails.ErrorInfo{Reason: s.reason, Domain: ErrorDomain})
		if detailErr != nil {
			return st.Err()
		}
		st = with
	}
	return st.Err()
}

// reasonsOf lists the sentinels that err is, in the order of the table.
func reasonsOf(err error) []sentinel {
	var found []sentinel
	for _, s := range sentinels() {
		if errors.Is(err, s.err) {
			found = append(found, s)
		}
	}
	return found
}

// CallError is a call that a plugin answered with an error, or did not answer. By errors.Is it is every sentinel that
// the plugin named; context.Canceled and context.DeadlineExceeded hold too.
type CallError struct {
	Kind    lifecycle.Kind
	Label   string     // the plugin's label in alys.hcl
	Call    string     // the method, such as "Approve"
	Code    codes.Code // Internal for an error that is no sentinel
	Message string     // the plugin's own text
	causes  []error
}

// Error names plugin and call before the plugin's text.
func (e *CallError) Error() string {
	return fmt.Sprintf("%s %q: %s: %s", e.Kind, e.Label, e.Call, e.Message)
}

// Unwrap gives the sentinels that the error is.
func (e *CallError) Unwrap() []error { return e.causes }

// decodeError is EncodeError's inverse, on the host's side. Without an ErrorInfo the status code decides: that is how
// gRPC itself tells of a missing method, a dead process or a deadline.
func (c *Client) decodeError(call string, err error) error {
	st, _ := status.FromError(err)
	e := &CallError{Kind: c.kind, Label: c.label, Call: call, Code: st.Code(), Message: errorText(st.Message())}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == ErrorDomain {
			if cause := byReason(info.GetReason()); cause != nil {
				e.causes = append(e.causes, cause)
			}
		}
	}
	if len(e.causes) == 0 {
		if cause := c.byCode(st.Code()); cause != nil {
			e.causes = []error{cause}
		}
	}
	return e
}

func byReason(reason string) error {
	for _, s := range sentinels() {
		if s.reason == reason {
			return s.err
		}
	}
	return nil
}

// byCode gives a bare status code a meaning: no process is an engine or signer that is unavailable.
func (c *Client) byCode(code codes.Code) error {
	switch {
	case code == codes.Unimplemented:
		return lifecycle.ErrUnsupported
	case code == codes.DeadlineExceeded:
		return context.DeadlineExceeded
	case code == codes.Canceled:
		return context.Canceled
	case code == codes.Unavailable && c.kind == lifecycle.Signer:
		return signer.ErrUnavailable
	case code == codes.Unavailable && c.kind == lifecycle.Engine:
		return engine.ErrUnavailable
	}
	return nil
}

// errorText makes a text safe for a status message and a log line: valid UTF-8 of at most maxErrorText bytes.
func errorText(s string) string {
	if len(s) > maxErrorText {
		s = s[:maxErrorText]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// MalformedReplyError is a reply of the wrong shape. The plugin is at fault, and its answer was not used.
type MalformedReplyError struct {
	Kind  lifecycle.Kind
	Label string // the plugin's label in alys.hcl
	Call  string // the method, such as "Approve"
	Err   error  // what is wrong with the reply
}

// Error names plugin and call.
func (e *MalformedReplyError) Error() string {
	return fmt.Sprintf("%s %q: %s: malformed reply: %v", e.Kind, e.Label, e.Call, e.Err)
}

// Unwrap gives what is wrong with the reply.
func (e *MalformedReplyError) Unwrap() error { return e.Err }

// malformed wraps the finding of a reply's check.
func (c *Client) malformed(call string, err error) error {
	return &MalformedReplyError{Kind: c.kind, Label: c.label, Call: call, Err: err}
}

// requestError is what a plugin answers to a request of the wrong shape.
type requestError struct{ err error }

func badRequest(err error) error { return &requestError{err} }

// Error says what is wrong with the request.
func (e *requestError) Error() string { return "malformed request: " + e.err.Error() }

// GRPCStatus makes it InvalidArgument on the wire.
func (e *requestError) GRPCStatus() *status.Status {
	return status.New(codes.InvalidArgument, errorText(e.Error()))
}

// resultError is the error of one result among several, which carries a reason as text and no status.
func (c *Client) resultError(call, reason, message string) error {
	e := &CallError{Kind: c.kind, Label: c.label, Call: call, Code: codes.Internal, Message: errorText(message)}
	for _, s := range sentinels() {
		if s.reason == reason {
			e.Code, e.causes = s.code, []error{s.err}
		}
	}
	return e
}
