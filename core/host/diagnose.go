package host

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/alys-node/alys/core/host/internal/process"
)

// explainExec turns what the kernel said about a program into what an operator can do about it. command is what the
// operator knows it by, path the copy that was to run.
func explainExec(command, path string, err error) error {
	if of, ok := errors.AsType[*fs.PathError](err); ok { // it names the copy
		err = of.Err
	}
	e := &Error{Err: ErrNotExecutable, Cause: err, Detail: command}
	switch {
	case errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM):
		if process.NoExec(filepath.Dir(path)) {
			return noExec(filepath.Dir(path), err)
		}
		e.Hint = "check the security policy of this machine for its copy " + path
	case errors.Is(err, syscall.ENOEXEC):
		if other := platform(path); other != "" {
			e.Err = ErrArchitecture
			e.Detail = fmt.Sprintf("%s is built for %s, this machine is %s/%s", command, other, runtime.GOOS, runtime.GOARCH)
			e.Hint = "build it for this machine"
			return e
		}
		e.Hint = "it is no program; a script needs a first line such as #!/usr/bin/env python3"
	case errors.Is(err, syscall.ENOENT):
		e.Detail = "the program that should run " + command + " is missing"
		if with := interpreter(path); with != "" {
			e.Detail = with + " does not exist, and " + command + " cannot run without it"
		}
		e.Hint = "install it, or build the plugin with CGO_ENABLED=0"
	}
	return e
}

func noExec(dir string, cause error) *Error {
	return &Error{
		Err: ErrNoExec, Cause: cause, Detail: dir + " is mounted noexec, and plugins run from there",
		Hint: "mount it with exec, or move data_dir to another file system",
	}
}

// platform names the machine or system that a foreign program is for; empty if it is no program that is known here.
func platform(path string) string {
	head := make([]byte, 4)
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	if n, _ := f.Read(head); n < len(head) {
		return ""
	}
	switch {
	case string(head) == elf.ELFMAG:
		return elfPlatform(f)
	case bytes.HasPrefix(head, []byte("MZ")):
		return "windows"
	case bytes.Equal(head, []byte{0xcf, 0xfa, 0xed, 0xfe}), bytes.Equal(head, []byte{0xca, 0xfe, 0xba, 0xbe}):
		return "darwin"
	}
	return ""
}

func elfPlatform(f *os.File) string {
	e, err := elf.NewFile(f)
	if err != nil {
		return "an unknown machine (damaged ELF header)"
	}
	return "linux/" + strings.ToLower(strings.TrimPrefix(e.Machine.String(), "EM_"))
}

// interpreter is the program that the kernel would start for path: of a #! line, or the dynamic loader.
func interpreter(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	if e, err := elf.NewFile(f); err == nil {
		for _, p := range e.Progs {
			if p.Type == elf.PT_INTERP && p.Filesz < 4096 {
				name := make([]byte, p.Filesz)
				if _, err := p.ReadAt(name, 0); err == nil {
					return strings.TrimRight(string(name), "\x00")
				}
			}
		}
		return ""
	}
	head := make([]byte, 256)
	n, _ := f.ReadAt(head, 0)
	line, _, _ := strings.Cut(string(head[:n]), "\n")
	if rest, ok := strings.CutPrefix(line, "#!"); ok && len(strings.Fields(rest)) > 0 {
		return strings.Fields(rest)[0]
	}
	return ""
}
