// Liar is a signer that misbehaves: as the environment variable LIAR says, from its first instruction on, or as its
// configuration says, from then on. Package liars lists the ways.
package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugin"
)

func main() {
	mode := os.Getenv("LIAR")
	if mode == strayMode {
		stray()
	}
	switch mode {
	case "garbage":
		fmt.Println("Starting up, please wait …")
		select {}
	case "noise":
		noise := make([]byte, 1<<20)
		for {
			_, _ = rand.Read(noise)
			_, _ = os.Stdout.Write(noise)
		}
	case "silent":
		select {}
	case "exits":
		fmt.Fprintln(os.Stderr, "cannot open the thing")
		os.Exit(3)
	case "speaks-99":
		fmt.Println("1|99|unix|" + os.Getenv("PLUGIN_UNIX_SOCKET_DIR") + "/plugin1|grpc|" + strings.Repeat("A", 100))
		select {}
	case "frozen":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
	if answer, ok := rawAnswers[mode]; ok {
		serveRaw(answer)
		return
	}
	plugin.Serve(func(log hclog.Logger) lifecycle.Plugin { return &liar{mode: mode, log: log} })
}

// flood writes lines to stdout, stderr and the log for as long as the process lives.
func flood(log hclog.Logger) {
	line := []byte(strings.Repeat("flood ", 100) + "\n")
	for _, fd := range []int{1, 2} {
		go func() {
			for {
				_, _ = syscall.Write(fd, line)
			}
		}()
	}
	for i := 0; ; i++ {
		log.Error("flood", "i", strconv.Itoa(i))
	}
}
