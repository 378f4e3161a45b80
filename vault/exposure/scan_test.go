package exposure_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/exposure"
	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// The logs of package audit can be asked, and give single entries.
var (
	_ exposure.Source = (*audit.FileLog)(nil)
	_ exposure.Source = (*audit.MemoryLog)(nil)
	_ picker          = (*audit.FileLog)(nil)
	_ picker          = (*audit.MemoryLog)(nil)
)

type picker interface {
	At(ctx context.Context, indexes []uint64, fn func(index uint64, raw []byte) error) error
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reveals makes entries with one value each, of different persons.
func reveals(n int) []*audit.Entry {
	list := make([]*audit.Entry, n)
	for i := range list {
		list[i] = reveal()
		list[i].Items = list[i].Items[:1]
		list[i].Items[0].Subject = [16]byte{byte(i), byte(i >> 8)}
	}
	return list
}

// A log on disk, of several segments.
func TestLogOnDisk(t *testing.T) {
	log, err := audit.Open(t.TempDir(), audit.Options{SegmentSize: 4 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	list := reveals(700)
	for _, e := range list {
		if _, err := log.Append(e).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	check := func(way string, candidates iter.Seq[uint64]) {
		tally, err := exposure.ScanSmall(t.Context(), log, exposure.Query{}, candidates, 3)
		if err != nil {
			t.Fatalf("%s: %v", way, err)
		}
		looked := candidates
		if looked == nil {
			looked = upTo(len(list))
		}
		want, wantSum := naive(exposure.Query{}, list, looked)
		wantSum.End = uint64(len(list))
		if d := gocmp.Diff(wantSum, tally.Summary()) + gocmp.Diff(want, slices.Collect(tally.Rows())); d != "" {
			t.Errorf("%s (-want +got):\n%s", way, d)
		}
	}
	check("all", nil)
	check("candidates far apart", slices.Values([]uint64{0, 99, 350, 351, 699}))
	check("candidates close together", upTo(100))
}

func TestPrunedLog(t *testing.T) {
	log := logOf(t, reveals(30))
	log.first = 12
	for name, candidates := range map[string]iter.Seq[uint64]{
		"all": nil, "candidates": upTo(50), "far past the end": slices.Values([]uint64{3, 12, 29, 1 << 60}), "none": upTo(0),
	} {
		tally, err := exposure.ScanSmall(t.Context(), log, exposure.Query{}, candidates, 2)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := map[string]uint64{"all": 18, "candidates": 18, "far past the end": 2}[name]
		if sum := tally.Summary(); sum.Begin != 12 || sum.End != 30 || sum.Entries != want || sum.Values != want {
			t.Errorf("%s: %+v", name, sum)
		}
	}
	log.first = 30
	if tally, err := exposure.Scan(t.Context(), log, exposure.Query{}, nil); err != nil || tally.Summary().Begin != 30 {
		t.Errorf("nothing is left: %v", err)
	}
	if tally, err := exposure.Scan(t.Context(), &memory{}, exposure.Query{}, nil); err != nil || tally.Summary().Entries != 0 {
		t.Errorf("an empty log: %v", err)
	}
}

// Far candidates are read alone if the log can, near ones together.
func TestCandidatesAreReadWell(t *testing.T) {
	log := logOf(t, reveals(1000))
	for _, test := range []struct {
		name   string
		source exposure.Source
		picks  []uint64
		least  uint64
		most   uint64
	}{
		{"far apart", picking{log}, []uint64{1, 500, 900}, 3, 3},
		{"far apart, of a log that reads only on", log, []uint64{1, 500, 900}, 900, 900},
		{"close together", picking{log}, []uint64{7, 9, 10, 12}, 6, 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			log.reads.Store(0)
			tally, err := exposure.Scan(t.Context(), test.source, exposure.Query{}, slices.Values(test.picks))
			if err != nil {
				t.Fatal(err)
			}
			if n := tally.Summary().Entries; n != uint64(len(test.picks)) {
				t.Errorf("%d entries looked at", n)
			}
			if n := log.reads.Load(); n < test.least || n > test.most {
				t.Errorf("%d entries read, want %d to %d", n, test.least, test.most)
			}
		})
	}
}

func TestCandidatesMustRise(t *testing.T) {
	log := logOf(t, reveals(30))
	for _, list := range [][]uint64{{5, 4}, {5, 5}, {1, 2, 3, 4, 5, 6, 7, 6}} {
		if tally, err := exposure.ScanSmall(t.Context(), log, exposure.Query{}, slices.Values(list), 2); !errors.Is(err, exposure.ErrCandidates) || tally != nil {
			t.Errorf("%v: %v", list, err)
		}
	}
}

// faulty is a log that does other than it must.
type faulty struct {
	picking
	read func(from uint64, fn func(uint64, []byte) error) error
	at   func(indexes []uint64, fn func(uint64, []byte) error) error
}

func (f faulty) Read(from uint64, fn func(uint64, []byte) error) error {
	if f.read == nil {
		return f.picking.Read(from, fn)
	}
	return f.read(from, fn)
}

func (f faulty) At(ctx context.Context, indexes []uint64, fn func(uint64, []byte) error) error {
	if f.at == nil {
		return f.picking.At(ctx, indexes, fn)
	}
	return f.at(indexes, fn)
}

// An answer that lacks entries is none.
func TestFaultsOfTheLog(t *testing.T) {
	good := logOf(t, reveals(40))
	broken := errors.New("the disk is gone")
	without := func(missing uint64) func(uint64, func(uint64, []byte) error) error {
		return func(from uint64, fn func(uint64, []byte) error) error {
			for i := from; i < good.Size(); i++ {
				if i == missing {
					continue
				}
				if err := good.give(i, fn); err != nil {
					return err
				}
			}
			return nil
		}
	}
	damaged := func(change func(raw []byte) []byte) *memory {
		m := logOf(t, reveals(40))
		m.raw[23] = change(m.raw[23])
		return m
	}
	tests := []struct {
		name  string
		log   exposure.Source
		picks iter.Seq[uint64]
		want  error
		says  string
	}{
		{"an error of reading", faulty{picking: picking{good}, read: func(uint64, func(uint64, []byte) error) error { return broken }}, nil, broken, "disk"},
		{"a damaged entry", damaged(func(raw []byte) []byte { return raw[:len(raw)-1] }), nil, audit.ErrEntry, "entry 23"},
		{"an entry of a newer format", damaged(func(raw []byte) []byte { raw[0] = 200; return raw }), nil, audit.ErrFormat, "entry 23"},
		{"an entry left out", faulty{picking: picking{good}, read: without(23)}, nil, exposure.ErrMissing, "entry 23"},
		{"an entry left out before a candidate", faulty{picking: picking{good}, read: without(23)}, slices.Values([]uint64{22, 24}), exposure.ErrMissing, "entry 23"},
		{"the last entry left out", faulty{picking: picking{good}, read: without(39)}, nil, exposure.ErrMissing, "entry 39"},
		{"entries pruned meanwhile", faulty{picking: picking{good}, read: func(from uint64, fn func(uint64, []byte) error) error {
			return good.Read(max(from, 7), fn)
		}}, nil, exposure.ErrMissing, ""},
		{"an error of picking", faulty{picking: picking{good}, at: func([]uint64, func(uint64, []byte) error) error { return broken }},
			slices.Values([]uint64{1, 30}), broken, "disk"},
		{"a pick left out", faulty{picking: picking{good}, at: func(l []uint64, fn func(uint64, []byte) error) error {
			return good.give(l[0], fn)
		}}, slices.Values([]uint64{1, 30}), exposure.ErrMissing, "entry 30"},
		{"a neighbour picked", faulty{picking: picking{good}, at: func(l []uint64, fn func(uint64, []byte) error) error {
			return good.give(l[0]+1, fn)
		}}, slices.Values([]uint64{1, 30}), exposure.ErrMissing, "entry 2 came unasked"},
		{"a pick too many", faulty{picking: picking{good}, at: func(l []uint64, fn func(uint64, []byte) error) error {
			return errors.Join(good.give(l[0], fn), good.give(l[1], fn), good.give(l[1]+1, fn))
		}}, slices.Values([]uint64{1, 30}), exposure.ErrMissing, "entry 31 came unasked"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tally, err := exposure.ScanSmall(t.Context(), test.log, exposure.Query{}, test.picks, 3)
			if !errors.Is(err, test.want) || !strings.Contains(fmt.Sprint(err), test.says) {
				t.Errorf("got %v, want %v that says %q", err, test.want, test.says)
			}
			if tally != nil {
				t.Error("there is an answer")
			}
		})
	}
}

func TestContextEndsAScan(t *testing.T) {
	const size = 20000
	log := logOf(t, reveals(size))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if tally, err := exposure.Scan(ended, log, exposure.Query{}, nil); !errors.Is(err, context.Canceled) || tally != nil {
		t.Errorf("before it began: %v", err)
	}
	if n := log.reads.Load(); n > 512 {
		t.Errorf("%d entries were read after the context had ended", n)
	}
	for name, candidates := range map[string]iter.Seq[uint64]{"all": nil, "few of many": slices.Values([]uint64{0, size - 1})} {
		ctx, cancel := context.WithCancelCause(t.Context())
		log.reads.Store(0)
		var once sync.Once
		q := exposure.Query{Match: func(string, uint64) bool {
			once.Do(func() { cancel(errors.New("a cause")) })
			return true
		}}
		if tally, err := exposure.Scan(ctx, log, q, candidates); !errors.Is(err, context.Canceled) || tally != nil {
			t.Errorf("%s: in the middle: %v", name, err)
		}
		if n := log.reads.Load(); n > 2000 {
			t.Errorf("%s: %d entries were read after the context had ended", name, n)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	drawn := 0
	counted := func(yield func(uint64) bool) {
		for i := range upTo(size) {
			if drawn++; drawn == 100 {
				cancel()
			}
			if !yield(i) {
				return
			}
		}
	}
	if _, err := exposure.ScanSmall(ctx, log, exposure.Query{}, counted, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("while candidates are drawn: %v", err)
	}
	if drawn > 1000 {
		t.Errorf("%d candidates were drawn after the context had ended", drawn)
	}
}

// A role is asked for once for each caller and version of the policy.
func TestMatchIsAskedSeldom(t *testing.T) {
	list := reveals(300)
	for i, e := range list {
		e.Principal = fmt.Sprintf("caller %d", i%3)
		e.PolicyVersion = uint64(i % 2)
	}
	list[7].Principal, list[7].Items[0].Outcome = "refused stranger", audit.Refused
	var mu sync.Mutex
	asked := map[string]int{}
	tally, err := exposure.ScanSmall(t.Context(), logOf(t, list), exposure.Query{Match: func(p string, v uint64) bool {
		mu.Lock()
		defer mu.Unlock()
		asked[fmt.Sprint(p, " ", v)]++
		return p != "caller 1"
	}}, nil, 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(asked) != 6 {
		t.Errorf("asked for %d pairs, want 6: %v", len(asked), asked)
	}
	for pair, n := range asked {
		if n > 2 {
			t.Errorf("%s: asked %d times by 2 goroutines", pair, n)
		}
	}
	if n := tally.Summary().Values; n != 200 {
		t.Errorf("%d values, want 200", n)
	}
}
