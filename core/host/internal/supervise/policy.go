package supervise

import (
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Policy says when a dead unit is replaced.
type Policy struct {
	Min, Max time.Duration // pause before a restart: Min, then doubled up to Max
	Jitter   float64       // share of the pause, both ways
	Reset    time.Duration // alive this long, and the pause is Min again
	Deaths   int           // so many deaths …
	Window   time.Duration // … within this time open the breaker
	HalfOpen time.Duration // an open breaker lets one start through after this
}

// breaker decides, death by death, how long to wait.
type breaker struct {
	policy  Policy
	pause   *backoff.ExponentialBackOff
	deaths  []time.Time // within the window, oldest first
	tripped bool        // since it opened, no unit has lived for Reset
}

func newBreaker(p Policy) *breaker {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = p.Min, p.Max
	pause.Multiplier, pause.RandomizationFactor = 2, p.Jitter
	pause.Reset()
	return &breaker{policy: p, pause: pause}
}

// death takes note of one, at now, of a unit that had been up for alive (0: it never came up). It returns the pause
// before the next start, and whether the breaker is open during it.
func (b *breaker) death(now time.Time, alive time.Duration) (wait time.Duration, broken bool) {
	if alive >= b.policy.Reset {
		b.pause.Reset()
		b.tripped = false
	}
	for len(b.deaths) > 0 && now.Sub(b.deaths[0]) > b.policy.Window {
		b.deaths = b.deaths[1:]
	}
	b.deaths = append(b.deaths, now)
	if b.tripped || len(b.deaths) >= b.policy.Deaths {
		b.tripped = true
		return b.policy.HalfOpen, true
	}
	return b.pause.NextBackOff(), false
}
