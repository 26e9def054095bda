package node

import (
	"time"

	"github.com/alys-node/alys/core/driver"
)

// Event is something for people to see: a new head, or a line of text.
type Event struct {
	At    time.Time
	Block *driver.Advanced
	Text  string
}
