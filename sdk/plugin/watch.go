package plugin

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
)

// parentPoll is how often the plugin looks whether the node is still its parent. On Linux the node also asks the kernel
// to kill its children; the poll covers other systems and a node that could not.
const parentPoll = time.Second

// watchHost closes stop when the process has to end by itself: by a signal after the node has asked to drain, or when
// the node is gone. Before that, SIGINT and SIGTERM are ignored: they were meant for the node, whose shutdown still
// needs its plugins. parent is the node's process id.
func watchHost(g *gate, log hclog.Logger, parent int, stop chan<- struct{}) {
	defer close(stop)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	ticker := time.NewTicker(parentPoll)
	defer ticker.Stop()
	for {
		select {
		case s := <-signals:
			if g.drainAsked() {
				return
			}
			log.Debug("signal ignored: the node ends its plugins itself", "signal", s.String())
		case <-ticker.C:
			if os.Getppid() != parent {
				log.Error("the node is gone: draining and ending", "parent", parent)
				return
			}
		}
	}
}
