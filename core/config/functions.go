package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// mark is what a sensitive value carries, and everything that is derived from it.
type mark string

const sensitive mark = "sensitive"

var errEnvUnset = errors.New("environment variable is not set")

// functions are all that an expression may call.
func (s *scope) functions() map[string]function.Function {
	return map[string]function.Function{
		"coalesce":   stdlib.CoalesceFunc,
		"concat":     stdlib.ConcatFunc,
		"contains":   stdlib.ContainsFunc,
		"env":        s.envFunc(),
		"file":       s.fileFunc(),
		"format":     formatFunc(),
		"join":       stdlib.JoinFunc,
		"keys":       stdlib.KeysFunc,
		"length":     stdlib.LengthFunc,
		"lookup":     stdlib.LookupFunc,
		"lower":      stdlib.LowerFunc,
		"max":        stdlib.MaxFunc,
		"merge":      stdlib.MergeFunc,
		"min":        stdlib.MinFunc,
		"sensitive":  s.sensitiveFunc(),
		"split":      stdlib.SplitFunc,
		"tobool":     stdlib.MakeToFunc(cty.Bool),
		"tonumber":   stdlib.MakeToFunc(cty.Number),
		"tostring":   stdlib.MakeToFunc(cty.String),
		"trimprefix": stdlib.TrimPrefixFunc,
		"trimspace":  stdlib.TrimSpaceFunc,
		"trimsuffix": stdlib.TrimSuffixFunc,
		"upper":      stdlib.UpperFunc,
		"values":     stdlib.ValuesFunc,
	}
}

// fileFunc is file(path): the text of a file, relative to the configuration's folder.
func (s *scope) fileFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			text, err := s.readText(args[0].AsString())
			if err != nil {
				return cty.UnknownVal(cty.String), err
			}
			return cty.StringVal(text), nil
		},
	})
}

type lookup struct {
	text string
	err  error
}

// readText reads once and remembers; a frozen scope only remembers.
func (s *scope) readText(name string) (string, error) {
	if got, ok := s.files[name]; ok {
		return got.text, got.err
	}
	if s.frozen {
		return "", errors.New("the file was not read when the configuration was loaded")
	}
	text, err := s.loadText(name)
	s.files[name] = lookup{text, err}
	return text, err
}

func (s *scope) loadText(name string) (string, error) {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.dir, path)
	}
	src, err := readBounded(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", missingFile(path)
	case err != nil:
		return "", fmt.Errorf("%s: %w", path, innerError(err))
	case !utf8.Valid(src):
		return "", fmt.Errorf("%s is not UTF-8 text", path)
	}
	return string(src), nil
}

// missingFile is a path that does not exist; it is fs.ErrNotExist too.
type missingFile string

// Error names the path.
func (m missingFile) Error() string { return string(m) + " does not exist" }

// Is makes errors.Is(err, fs.ErrNotExist) hold.
func (m missingFile) Is(target error) bool { return target == fs.ErrNotExist }

// envFunc is env(name) or env(name, default).
func (s *scope) envFunc() function.Function {
	return function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "name", Type: cty.String}},
		VarParam: &function.Parameter{Name: "default", Type: cty.String},
		Type:     function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if len(args) > 2 {
				return cty.UnknownVal(cty.String), errors.New("env takes a name and at most one default")
			}
			text, err := s.readEnv(args[0].AsString())
			switch {
			case err == nil:
				return cty.StringVal(text), nil
			case len(args) == 2 && errors.Is(err, errEnvUnset):
				return args[1], nil
			}
			return cty.UnknownVal(cty.String), err
		},
	})
}

func (s *scope) readEnv(name string) (string, error) {
	if got, ok := s.envs[name]; ok {
		return got.text, got.err
	}
	if s.frozen {
		return "", errors.New("the variable was not read when the configuration was loaded")
	}
	got := lookup{err: fmt.Errorf("%w: %s; set it, or give env a default", errEnvUnset, name)}
	if s.env != nil {
		if text, ok := s.env(name); ok {
			got = lookup{text: text}
		}
	}
	if got.err == nil && !utf8.ValidString(got.text) {
		got = lookup{err: fmt.Errorf("environment variable %s is not UTF-8 text", name)}
	}
	s.envs[name] = got
	return got.text, got.err
}

// sensitiveFunc is sensitive(value): the value, marked.
func (s *scope) sensitiveFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{
			Name: "value", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowMarked: true, AllowDynamicType: true,
		}},
		Type: func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			s.learn(args[0])
			return args[0].Mark(sensitive), nil
		},
	})
}

// formatFunc is the usual format, without widths that would fill the memory.
func formatFunc() function.Function {
	wide := regexp.MustCompile(`%[^%a-zA-Z]*[0-9]{4}`)
	return function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "format", Type: cty.String}},
		VarParam: &function.Parameter{Name: "args", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true},
		Type:     function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if wide.MatchString(args[0].AsString()) {
				return cty.UnknownVal(cty.String), function.NewArgErrorf(0, "a width or precision has at most three digits")
			}
			return stdlib.Format(args[0], args[1:]...)
		},
	})
}
