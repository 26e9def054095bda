package spec

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrInvalid is what every refused spec's error is.
var ErrInvalid = errors.New("invalid chain spec")

// Problem is one thing that is wrong with a spec.
type Problem struct {
	Line    int    // in the file, from 1; 0 when it belongs to no line
	Path    string // for example authorities[0].members[2].key; empty for the whole file
	Message string
}

// String is "line 3: slots[0].ms: must be at least 1000".
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Path != "" {
		fmt.Fprintf(&b, "%s: ", p.Path)
	}
	return b.String() + p.Message
}

// InvalidError lists everything that is wrong with a spec. It is ErrInvalid.
type InvalidError struct{ Problems []Problem }

// Error has one line for each problem.
func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return fmt.Sprintf("%s: %s", ErrInvalid, strings.Join(lines, "\n"))
}

// Is reports that the error is ErrInvalid.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// problems collects.
type problems struct{ list []Problem }

func (p *problems) add(line int, path, format string, args ...any) {
	p.list = append(p.list, Problem{Line: line, Path: path, Message: fmt.Sprintf(format, args...)})
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return &InvalidError{Problems: p.list}
}
