package driver

// Bodies is how many blocks the driver keeps in memory. For use while the loop waits.
func (d *Driver) Bodies() int { return len(d.bodies) }

// Limits that tests measure against.
const (
	Queue        = queue
	MaxBodyBytes = maxBodyBytes
)
