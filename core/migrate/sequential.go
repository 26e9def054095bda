package migrate

import "math"

// sequential is Wald's sequential probability ratio test of a share of failures: good against bad.
//
// A failure adds ln(bad/good) to the logarithm of the likelihood ratio, a success ln((1-bad)/(1-good)), which is below 0.
// At ln((1-beta)/alpha) the share is judged bad, at ln(beta/(1-alpha)) good. It may be looked at after every sample: that
// is what it was made for.
type sequential struct {
	good, bad   float64
	alpha, beta float64
}

// The probabilities of a wrong answer where a gate names none.
const defaultAlpha, defaultBeta = 0.05, 0.05

func (s sequential) upper() float64 { return math.Log((1 - s.beta) / s.alpha) }
func (s sequential) lower() float64 { return math.Log(s.beta / (1 - s.alpha)) }

func (s sequential) onFailure() float64 {
	if s.good == 0 {
		return math.Inf(1) // what never happens to a good one has happened
	}
	return math.Log(s.bad / s.good)
}

func (s sequential) onSuccess() float64 {
	if s.bad >= 1 {
		return math.Inf(-1) // what never happens to a bad one has happened
	}
	return math.Log1p(-s.bad) - math.Log1p(-s.good)
}

// cleanRun is how many samples without a failure pass.
func (s sequential) cleanRun() uint64 {
	n := math.Ceil(s.lower() / s.onSuccess())
	return uint64(max(n, 1))
}

// Trial is a sequential test under way. Its answer is final as a failure, and as a pass stays while the counting goes on:
// from then on the ratio does not sink below the lower bound, so that one that turns bad later still fails, and soon.
type Trial struct {
	Samples  uint64  `json:"n"`
	Failures uint64  `json:"failures,omitempty"`
	Ratio    float64 `json:"ratio"` // logarithm of the likelihood ratio
	Answer   Answer  `json:"answer,omitempty"`
}

// add counts n samples of one outcome.
func (t *Trial) add(s sequential, failed bool, n uint64) {
	if n == 0 || t.Answer == Fail {
		return
	}
	if t.Answer == "" {
		t.Answer = NotEnoughData
	}
	t.Samples += n
	if !failed {
		t.Ratio = max(t.Ratio+float64(n)*s.onSuccess(), s.lower())
		if t.Ratio <= s.lower() {
			t.Answer = Pass
		}
		return
	}
	t.Failures += n
	t.Ratio += float64(n) * s.onFailure()
	if t.Ratio >= s.upper() {
		t.Ratio, t.Answer = s.upper(), Fail
	}
}

func (t *Trial) answer() Answer {
	if t.Answer == "" {
		return NotEnoughData
	}
	return t.Answer
}
