package vault

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// errPaused ends a pass whose re-wrap was paused.
var errPaused = errors.New("the re-wrap was paused")

// rewrapLot is how many values a batch of the re-wrap changes at most. Callers'
// batches wait while one is written.
const rewrapLot = 256

// rewrapPass goes once through the persons.
type rewrapPass struct {
	v      *Vault
	st     *state
	ref    uint64
	header rows.Header
	known  bool // header is that of ref
	lot    []moved
}

// moved is a row with its outer lock changed.
type moved struct {
	key, old, fresh []byte
	ref             uint64
}

// rewrapPersons re-wraps what persons have, from the cursor on. It stops early
// when the re-wrap is paused or the vault gives up its keys.
func (v *Vault) rewrapPersons(ctx context.Context) (stopped bool, err error) {
	p := &rewrapPass{v: v, st: v.state.Load()}
	err = v.eachPage(ctx, givingWay, rows.HeaderKey(v.rewrap.now().Cursor), func(page []store.Row) error {
		if now := v.rewrap.now(); now.Paused {
			return errPaused
		}
		if p.st = v.state.Load(); p.st.sealed != "" {
			return errPaused
		}
		for i := range page {
			if err := p.row(&page[i]); err != nil {
				return err
			}
			if len(p.lot) == rewrapLot {
				if err := p.flush(ctx); err != nil {
					return err
				}
			}
		}
		v.showRewrap(WorkRunning, "re-wrapping", "")
		return nil
	})
	if err == nil || errors.Is(err, errPaused) {
		if rest := p.flush(ctx); rest != nil {
			return false, rest
		}
	}
	if errors.Is(err, errPaused) {
		return true, nil
	}
	return false, err
}

// row takes one row along if it is not under the version in use. What does not
// open is left: the count at the end finds it.
func (p *rewrapPass) row(r *store.Row) error {
	k, err := rows.ParsePersonKey(r.Key)
	if err != nil {
		return nil
	}
	if k.Header {
		p.ref, p.known = k.Ref, false
		if h, err := rows.ParseHeader(r.Value); err == nil && h.State == rows.Active {
			p.header, p.known = h, true
		}
		return nil
	}
	id, lock := lockOf(p.st.keys, &k)
	if lock == nil || !p.known || p.ref != k.Ref {
		return nil
	}
	version, err := seal.OuterVersion(lock, r.Value)
	if err != nil || version == lock.Primary() {
		return nil
	}
	place := p.v.identityPlace(k.Ref, p.header.KeyGeneration)
	if id.Kind == keys.KindField {
		f := p.st.whole.Field(policy.FieldID(k.Field))
		if f == nil {
			return nil
		}
		place = p.v.cellPlace(f, k.Ref, k.Item, p.header.KeyGeneration)
	}
	fresh, err := seal.Rewrap(nil, lock, lock, &place, r.Value)
	if err == nil {
		p.lot = append(p.lot, moved{r.Key, r.Value, fresh, k.Ref})
	}
	return nil
}

// flush commits the lot: together, and one by one when somebody else changed
// one of the values meanwhile. Those are under the version in use then, or gone.
func (p *rewrapPass) flush(ctx context.Context) error {
	if len(p.lot) == 0 {
		return nil
	}
	began := time.Now()
	err := p.commit(ctx, p.lot)
	if conflict := (*store.ConflictError)(nil); errors.As(err, &conflict) && conflict.Require == 0 {
		// The state moved on. With the same keysets the lot is as good as before;
		// with others the count at the end finds what was left.
		was := p.st.keys
		if p.st, err = p.v.reload(ctx); err != nil {
			return err
		}
		if p.st.keys != was {
			p.lot = p.lot[:0]
			return nil
		}
		err = p.commit(ctx, p.lot)
	}
	if isConflict(err) {
		err = nil
		for i := range p.lot {
			if one := p.commit(ctx, p.lot[i:i+1]); one != nil && !isConflict(one) {
				err = one
				break
			}
		}
	}
	if err != nil {
		return err
	}
	n := len(p.lot)
	p.lot = p.lot[:0]
	p.v.rewrapRate.did(n, p.v.now())
	return p.v.slow(ctx, n, time.Since(began))
}

// commit stores some of the lot, and how far the re-wrap is.
func (p *rewrapPass) commit(ctx context.Context, lot []moved) error {
	r := &p.v.rewrap
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.row
	next.Done += uint64(len(lot))
	next.Cursor = lot[len(lot)-1].ref
	next.Total = max(next.Total, next.Done)
	var b store.Batch
	b.RequireEqual(rows.People, rows.ControlKey, p.st.control)
	for i := range lot {
		b.RequireEqual(rows.People, lot[i].key, lot[i].old)
		b.Put(rows.People, lot[i].key, lot[i].fresh)
	}
	if err := p.v.putRewrap(&b, &next); err != nil {
		return err
	}
	if err := p.v.values.Commit(ctx, &b); err != nil {
		return err
	}
	r.row = next
	return nil
}

// slow keeps to the bound of values per second that the options set.
func (v *Vault) slow(ctx context.Context, n int, took time.Duration) error {
	if v.rewrapMost == 0 {
		return nil
	}
	due := time.Duration(float64(n) / float64(v.rewrapMost) * float64(time.Second))
	if due <= took {
		return nil
	}
	return rest(ctx, due-took)
}

// workRate measures how many values a second are done, over some seconds.
type workRate struct {
	mu    sync.Mutex
	since time.Time
	n     int
	last  float64
}

// rateWindow is the time over which a rate is measured.
const rateWindow = 2 * time.Second

func (r *workRate) did(n int, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.since.IsZero() || now.Sub(r.since) > 10*rateWindow {
		r.since, r.n = now, 0
	}
	r.n += n
	if passed := now.Sub(r.since); passed >= rateWindow {
		r.last = float64(r.n) / passed.Seconds()
		r.since, r.n = now, 0
	}
}

// rate returns values per second; 0: not known yet.
func (r *workRate) rate() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}
