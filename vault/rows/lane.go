package rows

import "fmt"

// A lane is the upper 16 bits of the refs that a vault gives out: 1 in a new
// vault, and another after each restore from a backup, so that no ref is given
// out that was given to somebody after the backup was made.
const (
	// FirstLane is that of a new vault, in which LaneKey is absent.
	FirstLane uint64 = 1
	// MaxLane is the last one.
	MaxLane uint64 = 1<<16 - 1
	// LaneSize is how many refs a lane has.
	LaneSize uint64 = 1 << laneBits

	laneBits = 48
)

// LaneKey: counter of the control table of values.db, the lane; absent in a
// vault that was never restored.
var LaneKey = []byte("lane")

// Ref returns a ref of a lane. It panics when one of the two is out of range,
// which would give the ref of somebody else.
func Ref(lane, number uint64) uint64 {
	if lane == 0 || lane > MaxLane || number >= LaneSize {
		panic(fmt.Sprintf("rows: ref %d of lane %d", number, lane))
	}
	return lane<<laneBits | number
}

// Lane returns the lane of a ref.
func Lane(ref uint64) uint64 { return ref >> laneBits }
