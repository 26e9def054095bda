package migrate

import "time"

// Tally is what was counted in a step so far. It is written whole at every health interval, so that a restart goes on with
// it.
type Tally struct {
	Soaked time.Duration `json:"soaked"`
}
