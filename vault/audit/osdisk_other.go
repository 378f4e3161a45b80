//go:build unix && !linux

package audit

// Allocate writes zeros: there is no call for it on all these systems.
func (f osFile) Allocate(size int64) error { return f.fill(size) }
