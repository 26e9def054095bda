package route

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

// PanicError is a panic of what the caller gave the route to run: a question, a check, a session. It is no answer of the
// target that was asked, and an alarm. A lane has a goroutine of its own: without this one bad reply would end the host.
type PanicError struct {
	Value any
	Stack []byte
}

// Error says what was panicked with. The stack is in the alarm.
func (e *PanicError) Error() string { return fmt.Sprintf("the host panicked: %v", e.Value) }

// caught makes a panic that is under way an error. It is to be deferred.
func caught(err *error) {
	if p := recover(); p != nil {
		*err = &PanicError{Value: p, Stack: debug.Stack()}
	}
}

// safely runs f.
func safely(f func() error) (err error) {
	defer caught(&err)
	return f()
}

// consult puts a question to a target and sorts what it returned.
func consult[C, R any](ctx context.Context, client C, do func(context.Context, C) (R, error), opts Opts[R]) (reply R, answer, err error) {
	panicked := safely(func() error {
		reply, err = do(ctx, client)
		reply, answer, err = judge(reply, err, opts)
		return nil
	})
	if panicked != nil {
		var zero R
		return zero, nil, panicked
	}
	return reply, answer, err
}

// alarmed tells the observer of a panic.
func (r *Route[C]) alarmed(e *entry[C], p Position, err error) {
	if panicked, ok := errors.AsType[*PanicError](err); ok {
		r.opts.Observer.Alarm(Alarm{Route: r.opts.Name, Target: e.id, Position: p, Reason: panicked.Error() + "\n" + string(panicked.Stack)})
	}
}
