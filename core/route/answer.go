package route

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// judge sorts what a target returned: a checked reply, an error that is an answer, or no answer.
func judge[R any](got R, failure error, opts Opts[R]) (reply R, answer, err error) {
	var zero R
	switch {
	case failure != nil && opts.IsAnswer != nil && opts.IsAnswer(failure):
		return zero, failure, nil
	case failure != nil:
		return zero, nil, failure
	case opts.Check != nil:
		if err := opts.Check(got); err != nil {
			return zero, nil, errors.Join(ErrBadReply, err)
		}
	}
	return got, nil, nil
}

func isBad(err error) bool { return errors.Is(err, ErrBadReply) }

func containsEntry[C any](es []*entry[C], e *entry[C]) bool { return slices.Contains(es, e) }

// noAnswer gathers why nobody answered.
type noAnswer struct {
	errs  []error
	texts []string
}

func (n *noAnswer) add(a interface{ name() string }, err error) {
	n.errs = append(n.errs, err)
	n.texts = append(n.texts, a.name()+": "+strings.ReplaceAll(err.Error(), "\n", ": "))
}

func (n *noAnswer) err(route string) error {
	if len(n.errs) == 0 {
		return fmt.Errorf("%w: %s has no plugin for this request", ErrNoAnswer, route)
	}
	return &NoAnswerError{Route: route, Said: n.texts, causes: n.errs}
}

// text is what was said, one after another.
func (n *noAnswer) text() string { return strings.Join(n.texts, "; ") }

// NoAnswerError says why each plugin of a route gave no answer. errors.Is finds ErrNoAnswer and every cause.
type NoAnswerError struct {
	Route  string
	Said   []string // one text for each plugin that was asked
	causes []error
}

// Error lists what every plugin said.
func (e *NoAnswerError) Error() string {
	return fmt.Sprintf("%s: no plugin answered: %s", e.Route, strings.Join(e.Said, "; "))
}

// Unwrap gives ErrNoAnswer and the causes.
func (e *NoAnswerError) Unwrap() []error { return append([]error{ErrNoAnswer}, e.causes...) }

func (a attempt[C]) name() string { return string(a.position) + " " + a.entry.id.String() }
