package audit

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
