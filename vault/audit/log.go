package audit

import "context"

// A Log keeps entries, numbered from 0 without gaps. It is safe for
// concurrent use. No entry is ever changed.
type Log interface {
	// Append queues the entry and returns its receipt at once. It does not wait
	// for the disk, except while more is queued than the log wants to hold. It
	// fills in ID and Time when they are zero; after it returns, the log has no
	// further use for e. What goes wrong is said by the receipt: ErrEntry,
	// ErrClosed, ErrUnavailable.
	//
	// The intended use is to append, do the work whose result may not leave
	// before the entry is durable, and then wait.
	Append(e *Entry) Receipt

	// Healthy returns nil when the next Append is expected to succeed, or else
	// the error that the next Append would give.
	Healthy() error

	// Size returns the index after the last durable entry.
	Size() uint64

	// Stats returns running totals since the log was opened.
	Stats() Stats

	// Close waits until everything queued is durable or has failed, releases
	// everything, and makes later calls of Append fail with ErrClosed. It may
	// be called more than once.
	Close() error
}

// A Reader gives out the durable entries of a log, while it is written. It is
// safe for concurrent use. raw is always an encoded entry (see Decode), valid
// until fn returns, and an error of fn ends the call and is returned as it is.
// A damaged or missing entry gives a *CorruptError.
type Reader interface {
	// First returns the index of the first entry that is kept: 0 unless older
	// ones were pruned. It never falls.
	First() uint64

	// Size returns the index after the last durable entry.
	Size() uint64

	// Read calls fn for every entry from index from on that is durable when Read
	// is called, in rising order. It begins at First when from is lower; when
	// entries are pruned meanwhile, it goes on at the new First.
	Read(from uint64, fn func(index uint64, raw []byte) error) error

	// At calls fn for single entries. The indexes rise and are below Size, else
	// ErrIndex; those below First are left out. It reads little more than what is
	// asked for.
	At(ctx context.Context, indexes []uint64, fn func(index uint64, raw []byte) error) error

	// Wait returns nil when Size() > size, at once or as soon as the log has
	// grown; or the error of ctx; or ErrClosed, when it will not grow any more.
	Wait(ctx context.Context, size uint64) error
}

// Stats are running totals since a log was opened.
type Stats struct {
	Entries  uint64 // entries made durable
	Groups   uint64 // writes that carried them
	Fsyncs   uint64 // times a file or folder was forced to disk
	Bytes    uint64 // bytes written for durable entries, framing included
	Segments uint64 // segments begun
	Poisoned uint64 // segments given up after a failed write or fsync
	// Torn says that the log ended in an interrupted write when it was opened.
	// That is normal after a power cut, and after nothing else: see the package
	// comment for what looks like it.
	Torn bool
}

// A Receipt stands for one appended entry. It is a small value; copies are
// equal. The zero Receipt stands for nothing and never says that an entry is
// durable.
type Receipt struct {
	group    *group
	position uint64 // in the group
	err      error  // why there is no group
}

// group is a number of entries that become durable together.
type group struct {
	done  chan struct{} // closed when the two below are set
	first uint64        // index of the group's first entry
	err   error
}

func newGroup() *group { return &group{done: make(chan struct{})} }

// finish tells all receipts of the group.
func (g *group) finish(first uint64, err error) {
	g.first, g.err = first, err
	close(g.done)
}

// Failed returns a receipt whose Wait returns err. It is for implementations
// of Log. A nil err gives the zero Receipt.
func Failed(err error) Receipt { return Receipt{err: err} }

// Wait returns the entry's index once the entry is durable. A nil error means
// durable and nothing else does. When ctx ends first, Wait returns its error;
// the entry may then become durable later. Wait may be called many times.
func (r Receipt) Wait(ctx context.Context) (index uint64, err error) {
	if r.group == nil {
		if r.err == nil {
			return 0, ErrNoReceipt
		}
		return 0, r.err
	}
	select {
	case <-r.group.done: // first look only here, so that a durable entry is told as such
	default:
		select {
		case <-r.group.done:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	if r.group.err != nil {
		return 0, r.group.err
	}
	return r.group.first + r.position, nil
}
