package host

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// open finds a command and opens it: a bare name in dir, or an absolute path. What is opened is a regular file that
// somebody may execute; whatever the name means later does not matter any more.
func open(dir, command string) (*os.File, error) {
	path, err := resolve(dir, command)
	if err != nil {
		return nil, err
	}
	// O_NONBLOCK: opening a named pipe must not wait for its other end.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		if os.IsNotExist(err) {
			return nil, notFound(dir, command, path)
		}
		return nil, &Error{Err: ErrNotExecutable, Cause: err, Hint: "the node must be allowed to read it"}
	}
	if err := executable(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func resolve(dir, command string) (string, error) {
	switch {
	case filepath.IsAbs(command):
		return filepath.Clean(command), nil
	case command == "" || command == "." || command == ".." || strings.ContainsAny(command, "/\x00"):
		return "", &Error{
			Err: ErrNotFound, Detail: fmt.Sprintf("command %q is neither a name nor an absolute path", command),
			Hint: fmt.Sprintf("write the name of a file in plugin_dir (%s), or its absolute path", dir),
		}
	}
	return filepath.Join(dir, command), nil
}

func executable(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return &Error{Err: ErrNotExecutable, Cause: err}
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return &Error{
			Err: ErrNotExecutable, Detail: fmt.Sprintf("%s is %s", f.Name(), typeName(mode)), Hint: "name a program file",
		}
	case mode.Perm()&0o111 == 0:
		return &Error{
			Err: ErrNotExecutable, Detail: fmt.Sprintf("%s has mode %v", f.Name(), mode.Perm()),
			Hint: "run chmod +x " + f.Name(),
		}
	}
	return nil
}

func typeName(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a folder"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// notFound says what there is instead.
func notFound(dir, command, path string) error {
	e := &Error{Err: ErrNotFound, Detail: path}
	if filepath.IsAbs(command) {
		e.Hint = "build or install it, or correct the path"
		return e
	}
	have, err := programs(dir)
	switch {
	case os.IsNotExist(err):
		e.Hint = fmt.Sprintf("the folder %s does not exist: run make build, or set plugin_dir", dir)
	case err != nil:
		e.Cause = err
	case len(have) == 0:
		e.Hint = fmt.Sprintf("%s holds no programs: run make build, or set plugin_dir", dir)
	default:
		e.Hint = fmt.Sprintf("%s has: %s", dir, strings.Join(have, ", "))
		if near := nearest(command, have); near != "" {
			e.Hint = fmt.Sprintf("did you mean %q? %s", near, e.Hint)
		}
	}
	return e
}

// programs lists the executable files of a folder.
func programs(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var names []string
	for _, entry := range entries {
		info, err := os.Stat(filepath.Join(dir, entry.Name()))
		if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			names = append(names, entry.Name())
		}
	}
	return names, err
}

// nearest is the name that is fewest edits away, or none if all are more than a third of the word away.
func nearest(word string, names []string) string {
	best, distance := "", len(word)/3+1
	for _, n := range names {
		if d := edits(word, n); d < distance {
			best, distance = n, d
		}
	}
	return best
}

// edits is the Levenshtein distance in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := slices.Min([]int{row[j+1] + 1, row[j] + 1, diagonal + cost})
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
