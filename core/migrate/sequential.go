package migrate

import "math"

// sequential is Wald's sequential probability ratio test of a share of failures: good against bad.
//
// A failure adds ln(bad/good) to the logarithm of the likelihood ratio, a success ln((1-bad)/(1-good)), which is below 0.
// At ln((1-beta)/alpha) the share is judged bad, at ln(beta/(1-alpha)) good. It may be looked at after every sample: that
// is what it was made for.
type sequential struct {
	good, bad    float64
	onFailure    float64 // what a failure adds
	onSuccess    float64 // what a success adds, below 0
	lower, upper float64
}

// The probabilities of a wrong answer where a gate names none.
const defaultAlpha, defaultBeta = 0.05, 0.05

// newSequential makes the test of good against bad with the probabilities alpha of failing a good one and beta of passing a
// bad one; 0 is the default.
func newSequential(good, bad, alpha, beta float64) sequential {
	if alpha == 0 {
		alpha = defaultAlpha
	}
	if beta == 0 {
		beta = defaultBeta
	}
	s := sequential{
		good: good, bad: bad, lower: math.Log(beta / (1 - alpha)), upper: math.Log((1 - beta) / alpha),
		onFailure: math.Log(bad / good), onSuccess: math.Log1p(-bad) - math.Log1p(-good),
	}
	if good == 0 { // what never happens to a good one
		s.onFailure = math.Inf(1)
	}
	if bad >= 1 { // what never happens to a bad one
		s.onSuccess = math.Inf(-1)
	}
	return s
}

// cleanRun is how many samples without a failure pass.
func (s sequential) cleanRun() uint64 {
	n := math.Ceil(s.lower / s.onSuccess)
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
		t.Ratio = max(t.Ratio+float64(n)*s.onSuccess, s.lower)
		if t.Ratio <= s.lower {
			t.Answer = Pass
		}
		return
	}
	t.Failures += n
	t.Ratio += float64(n) * s.onFailure
	if t.Ratio >= s.upper {
		t.Ratio, t.Answer = s.upper, Fail
	}
}

func (t *Trial) answer() Answer {
	if t.Answer == "" {
		return NotEnoughData
	}
	return t.Answer
}

// left is how many samples without a failure are missing to pass.
func (s sequential) left(t Trial) uint64 {
	if t.Answer == Pass {
		return 0
	}
	return uint64(max(math.Ceil((s.lower-t.Ratio)/s.onSuccess), 1))
}
