package wire

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// reasonInternal is the reason of a result's error that is no sentinel.
const reasonInternal = "INTERNAL"

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
	if bad, ok := errors.AsType[*requestError](err); ok {
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

// decodeError is EncodeError's inverse, on the host's side. Without an ErrorInfo that this host knows the status code
// decides: that is how gRPC itself tells of a missing method, a dead process or a deadline, and how a plugin that is not
// in Go may answer.
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

// byCode gives a bare status code a meaning, so that a plugin in any language can refuse, or not know a key, without
// the details of google.rpc; and no process at all is an engine or signer that is unavailable. Codes that gRPC itself
// answers with for other reasons (Internal, Unknown, ResourceExhausted, InvalidArgument) have none.
func (c *Client) byCode(code codes.Code) error {
	//exhaustive:ignore // the other codes have no meaning of their own
	switch code {
	case codes.Unimplemented:
		return lifecycle.ErrUnsupported
	case codes.DeadlineExceeded:
		return context.DeadlineExceeded
	case codes.Canceled:
		return context.Canceled
	}
	switch c.kind {
	case lifecycle.Signer:
		return signerByCode(code)
	case lifecycle.Engine:
		return engineByCode(code)
	case lifecycle.Sync:
	}
	return nil
}

func signerByCode(code codes.Code) error {
	//exhaustive:ignore // the other codes have no meaning of their own
	switch code {
	case codes.PermissionDenied:
		return signer.ErrRefused
	case codes.NotFound:
		return signer.ErrUnknownKey
	case codes.FailedPrecondition:
		return signer.ErrLocked
	case codes.Unauthenticated:
		return signer.ErrWrongPassword
	case codes.Unavailable:
		return signer.ErrUnavailable
	}
	return nil
}

func engineByCode(code codes.Code) error {
	//exhaustive:ignore // the other codes have no meaning of their own
	switch code {
	case codes.FailedPrecondition:
		return engine.ErrSyncing
	case codes.OutOfRange:
		return engine.ErrUnsupportedFork
	case codes.NotFound:
		return engine.ErrUnknownBlock
	case codes.Aborted:
		return engine.ErrDidNotMove
	case codes.Unavailable:
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

// resultReasons are the reasons of one result's error among several results, which has no status of its own.
func resultReasons(err error) []string {
	reasons := each(reasonsOf(err), func(s sentinel) string { return s.reason })
	if len(reasons) == 0 {
		return []string{reasonInternal}
	}
	return reasons
}

// resultError is the inverse of resultReasons.
func (c *Client) resultError(call string, reasons []string, message string) error {
	e := &CallError{Kind: c.kind, Label: c.label, Call: call, Code: codes.Internal, Message: errorText(message)}
	for _, s := range sentinels() {
		if !slices.Contains(reasons, s.reason) {
			continue
		}
		if len(e.causes) == 0 {
			e.Code = s.code
		}
		e.causes = append(e.causes, s.err)
	}
	return e
}
