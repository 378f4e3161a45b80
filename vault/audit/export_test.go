package audit

import "context"

// What the tests, which stand outside the package, need of its inside.

type (
	Disk     = disk
	DiskFile = diskFile
)

// OnDisk returns the options with another disk.
func (o Options) OnDisk(d Disk) Options {
	o.disk = d
	return o
}

const (
	SegmentHeader = segmentHeader
	RecordHeader  = recordHeader
	SegmentFormat = segmentFormat
)

// SegmentName returns the name of the segment that begins at an index.
func SegmentName(first uint64) string { return segmentName(first) }

// NewSegmentName returns the name such a segment has before it is durable.
func NewSegmentName(first uint64) string { return segmentName(first) + newSuffix }

// OSDisk returns the disk of the operating system.
func OSDisk() Disk { return osDisk{} }

// HintName is the file that says where the entry of the last Prune stands.
const HintName = hintName

// Watch is a watch on a size that a test tells when it likes.
type Watch struct{ watch }

// Tell wakes all who wait.
func (w *Watch) Tell() { w.tell() }

// Wait waits as Reader.Wait does; now gives the size.
func (w *Watch) Wait(ctx context.Context, size uint64, now func() uint64) error {
	return w.wait(ctx, size, now, nil)
}
