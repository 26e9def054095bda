package migrate

// Defaults gives the migration plan's steps and gates for a kind of role (protocol-v1.md 8.6).
func Defaults(_, _, _ string) ([]Step, []Gate, error) { return nil, nil, errNotBuilt }

// WithDefaults fills in what the schedule leaves out.
func (s Schedule) WithDefaults() (Schedule, error) { return s, errNotBuilt }
