package migrate

// Answer of a gate.
type Answer string

// The answers.
const (
	Pass          Answer = "pass"
	Fail          Answer = "fail"
	NotEnoughData Answer = "not_enough_data"
)

// GateResult is a gate's answer with its numbers.
type GateResult struct {
	Gate    string             `json:"gate"`
	Metric  string             `json:"metric"`
	Answer  Answer             `json:"answer"`
	Text    string             `json:"text"`              // one line for people, with the numbers
	Numbers map[string]float64 `json:"numbers,omitempty"` // the same for machines
}
