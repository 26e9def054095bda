package migrate

import "time"

// systemClock is the machine's: a time.Time that was taken with time.Now carries the monotonic time along.
type systemClock struct{ start time.Time }

func (systemClock) Now() time.Time        { return time.Now().Round(0) } // the wall's time alone
func (c systemClock) Mono() time.Duration { return time.Since(c.start) }
