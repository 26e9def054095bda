package node

import (
	"time"

	"github.com/alys-node/alys/core/driver"
)

// Event is something for people to see: a new head, a line of text, or that the node came up.
type Event struct {
	At    time.Time
	Block *driver.Advanced
	Text  string
	// Ready is given once, when the plugins are up and consensus is about to run: where the node listens, by name.
	Ready map[string]string
}
