package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"sync"
	"syscall"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Bounds of what is read. A configuration is written by people; anything larger is a mistake.
const (
	maxFileSize = 1 << 20
	maxFiles    = 256
)

// sources are the files of a configuration, what is secret in them, and the expressions by their place. The files and
// expressions do not change after Load; what is known to be secret may still grow.
type sources struct {
	bytes  map[string][]byte
	bodies map[string]*hclsyntax.Body
	order  []string              // file names in the order in which blocks count
	exprs  map[string]placedExpr // by range

	pattern *regexp.Regexp // secretLine

	mu      sync.Mutex
	hidden  map[string][]span // guarded by mu
	secrets []string          // guarded by mu; longest first
	quiet   map[string][]span // guarded by mu; expressions of sensitive arguments, whose values no message may show
}

type span struct{ start, end int }

type placedExpr struct {
	expr hclsyntax.Expression
	ctx  *hcl.EvalContext
}

func newSources() *sources {
	return &sources{
		bytes: map[string][]byte{}, bodies: map[string]*hclsyntax.Body{}, hidden: map[string][]span{}, quiet: map[string][]span{},
		exprs: map[string]placedExpr{}, pattern: regexp.MustCompile(secretLine),
	}
}

// readPath reads a file, or every *.hcl file of a folder. dir is the folder that relative paths start from.
func (s *sources) readPath(path string) (dir string, found hcl.Diagnostics) {
	info, err := os.Stat(path)
	if err != nil {
		return "", hcl.Diagnostics{unreadable(path, err)}
	}
	if !info.IsDir() {
		return filepath.Dir(path), s.readFile(path)
	}
	names, err := hclFiles(path)
	if err != nil {
		return path, hcl.Diagnostics{unreadable(path, err)}
	}
	switch {
	case len(names) == 0:
		return path, hcl.Diagnostics{problem(CodeNoFiles, wholeFile(path), "No *.hcl file in the folder",
			"A configuration is a file, or a folder with files whose names end in .hcl. Hidden files are not read.")}
	case len(names) > maxFiles:
		return path, hcl.Diagnostics{problem(CodeTooLarge, wholeFile(path), "Too many *.hcl files in the folder",
			fmt.Sprintf("There are %d; at most %d are read.", len(names), maxFiles))}
	}
	for _, name := range names {
		found = append(found, s.readFile(filepath.Join(path, name))...)
	}
	if len(found) == 0 && s.blocks() == 0 {
		found = append(found, problem(CodeEmpty, wholeFile(path), "The configuration is empty", emptyHint))
	}
	return path, found
}

const emptyHint = "A node needs at least the blocks node, chain, plugin and role; alys.hcl of the repository is a small example."

func (s *sources) blocks() int {
	n := 0
	for _, b := range s.bodies {
		n += len(b.Blocks) + len(b.Attributes)
	}
	return n
}

func hclFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".hcl") && !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}

func (s *sources) readFile(name string) hcl.Diagnostics {
	src, err := readBounded(name)
	if err != nil {
		return hcl.Diagnostics{unreadable(name, err)}
	}
	return s.parse(name, src)
}

var errTooLarge = errors.New("larger than 1 MiB")

var errNotRegular = errors.New("not a regular file")

// readBounded reads a regular file of at most 1 MiB. It never blocks on a pipe or device.
func readBounded(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	if info.Size() > maxFileSize {
		return nil, errTooLarge
	}
	f, err := os.Open(name) // #nosec G304 -- the operator names the file
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	src, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(src) > maxFileSize {
		return nil, errTooLarge
	}
	return src, nil
}

func unreadable(name string, err error) *hcl.Diagnostic {
	at := wholeFile(name)
	switch {
	case errors.Is(err, errTooLarge):
		return problem(CodeTooLarge, at, "The file is larger than 1 MiB", "A configuration is much smaller; is it the right file?")
	case errors.Is(err, errNotRegular):
		return problem(CodeUnreadable, at, "Not a regular file", "A configuration is a file or a folder, not a device, pipe or socket.")
	case errors.Is(err, fs.ErrNotExist):
		return problem(CodeMissingFile, at, "The file does not exist", "Check the path after -c; `alys dev` needs none.")
	case errors.Is(err, syscall.ELOOP):
		return problem(CodeUnreadable, at, "Symbolic links form a loop", "Following the path leads back to itself; replace the link by the file.")
	case errors.Is(err, fs.ErrPermission):
		return problem(CodeUnreadable, at, "The file may not be read", "Give the node's user the right to read it.")
	}
	return problem(CodeUnreadable, at, "The file cannot be read", plainError(err))
}

func innerError(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

// plainError drops the operation and path that os errors repeat.
func plainError(err error) string {
	return innerError(err).Error() + "."
}

// parse checks the text's bounds, then its syntax, and keeps the body.
func (s *sources) parse(name string, src []byte) hcl.Diagnostics {
	if len(src) > maxFileSize {
		return hcl.Diagnostics{unreadable(name, errTooLarge)}
	}
	if d := checkEncoding(name, src); d != nil {
		return hcl.Diagnostics{d}
	}
	s.bytes[name] = src
	if d := checkNesting(name, src); d != nil {
		return hcl.Diagnostics{d}
	}
	file, found := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return found
	}
	s.bodies[name] = body
	s.order = append(s.order, name)
	return firstErrors(found, 20)
}

// firstErrors bounds what one broken file reports: after twenty syntax errors, more say nothing.
func firstErrors(found hcl.Diagnostics, n int) hcl.Diagnostics {
	if len(found) > n {
		return found[:n]
	}
	return found
}

func checkEncoding(name string, src []byte) *hcl.Diagnostic {
	if utf8.Valid(src) {
		return nil
	}
	at, line, start := 0, 1, 0
	for at < len(src) {
		r, size := utf8.DecodeRune(src[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		if r == '\n' {
			line, start = line+1, at+1
		}
		at += size
	}
	detail := fmt.Sprintf("The byte at offset %d (0x%02x, line %d, byte %d of the line) is not UTF-8. Save the file as UTF-8.",
		at, src[at], line, at-start+1)
	if at == 0 && len(src) > 1 && (src[0] == 0xff && src[1] == 0xfe || src[0] == 0xfe && src[1] == 0xff) {
		detail += " It looks like UTF-16."
	}
	return problem(CodeEncoding, wholeFile(name), "The file is not UTF-8", detail)
}
