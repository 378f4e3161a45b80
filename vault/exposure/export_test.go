package exposure

import (
	"context"
	"iter"
	"unsafe"
)

// RowSize is what a row takes, in bytes.
const RowSize = unsafe.Sizeof(row{})

// ScanSmall is Scan with pieces so small that a short log has many.
func ScanSmall(ctx context.Context, log Source, q Query, candidates iter.Seq[uint64], workers int) (*Tally, error) {
	return scan(ctx, log, q, candidates, sizes{workers: workers, least: 3, most: 5, few: 2, many: 4, apart: 2})
}

// LimitCombinations sets another bound than MaxCombinations.
func (t *Tally) LimitCombinations(n int) { t.grid.labels.max = n }

// LimitFurther leaves room for n combinations that do not stand in their row.
func (t *Tally) LimitFurther(n uint64) { t.grid.further.Store(t.grid.maxFurther() - n) }
