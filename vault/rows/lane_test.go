package rows_test

import (
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
)

func TestLanes(t *testing.T) {
	for _, c := range []struct{ lane, number, ref uint64 }{
		{rows.FirstLane, 1, 1<<48 | 1},
		{2, 1, 2<<48 | 1},
		{rows.MaxLane, rows.LaneSize - 1, 1<<64 - 1},
	} {
		if got := rows.Ref(c.lane, c.number); got != c.ref || rows.Lane(got) != c.lane {
			t.Errorf("lane %d, number %d: ref %x of lane %d", c.lane, c.number, got, rows.Lane(got))
		}
	}
	for _, c := range [][2]uint64{{0, 1}, {rows.MaxLane + 1, 1}, {1, rows.LaneSize}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("lane %d, number %d gave a ref", c[0], c[1])
				}
			}()
			rows.Ref(c[0], c[1])
		}()
	}
}
