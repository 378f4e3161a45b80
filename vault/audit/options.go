package audit

import (
	"fmt"
	"time"
)

// Options of Open. The zero value means the defaults.
type Options struct {
	// SegmentSize is the room reserved for each segment, in bytes: 4 KiB to
	// 512 MiB, 16 MiB if 0. A segment is larger when one group needs it.
	SegmentSize int64
	// QueueSize is how many bytes may be queued before Append waits for the
	// disk: 64 KiB to 256 MiB, 4 MiB if 0. Twice that is held in memory.
	QueueSize int
	// Now gives the time of entries that bring none; time.Now if nil.
	Now func() time.Time

	disk disk // the operating system's if nil
}

const (
	minSegmentSize     = 4 << 10
	maxSegmentSize     = 512 << 20
	defaultSegmentSize = 16 << 20

	minQueueSize     = 64 << 10
	maxQueueSize     = 256 << 20
	defaultQueueSize = 4 << 20

	// maxSegmentFile bounds what recovery reads into memory. The queue can pass
	// its bound by one entry, and a segment's size is the larger of the two.
	maxSegmentFile = maxSegmentSize + 1<<20
)

// filled returns the options with defaults in place.
func (o Options) filled() (Options, error) {
	if o.SegmentSize == 0 {
		o.SegmentSize = defaultSegmentSize
	}
	if o.SegmentSize < minSegmentSize || o.SegmentSize > maxSegmentSize {
		return o, fmt.Errorf("%w: segment size: %d bytes, want %d to %d", ErrOptions, o.SegmentSize, minSegmentSize, maxSegmentSize)
	}
	if o.QueueSize == 0 {
		o.QueueSize = defaultQueueSize
	}
	if o.QueueSize < minQueueSize || o.QueueSize > maxQueueSize {
		return o, fmt.Errorf("%w: queue size: %d bytes, want %d to %d", ErrOptions, o.QueueSize, minQueueSize, maxQueueSize)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.disk == nil {
		o.disk = osDisk{}
	}
	return o, nil
}
