package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault"
)

// epochSteps are the steps of the end of an epoch as the board names them, and
// how the table does.
func epochSteps() [][2]string {
	return [][2]string{
		{"counting", "counting"}, {"re-wrapping", "re-wrapping"}, {"compacting", "compaction"}, {"destroying the key", "destruction"},
	}
}

// endEpoch ends the epoch and waits until it is over. The parts are taken from
// what a watch sees, five times a second: shorter ones may not show.
func (c *keyChild) endEpoch(ctx context.Context, look func(*vault.KeyWork, time.Time)) (keyAnswer, error) {
	v := c.node.Vault
	begun := time.Now()
	if _, err := v.RotateKey(ctx, keeper(), vault.KeyChange{Key: vault.KeyRef{Kind: vault.KeyEpoch}}); err != nil {
		return keyAnswer{}, err
	}
	steps := make(map[string]float64)
	step, since := "", begun
	w, err := await(ctx, v, vault.WorkEpoch, begun, func(w *vault.KeyWork) {
		look(w, begun)
		now := time.Now()
		if w.State == vault.WorkDone && w.Ended.After(begun) {
			now = w.Ended
		}
		steps[step] += now.Sub(since).Seconds()
		step, since = w.Step, now
	})
	if err != nil {
		return keyAnswer{}, err
	}
	return keyAnswer{N: float64(w.Done), Seconds: w.Ended.Sub(begun).Seconds(), Steps: steps}, nil
}

// epochOnce is endEpoch as a chore.
func (c *keyChild) epochOnce(ctx context.Context, t *tally) error {
	_, err := c.endEpoch(ctx, t.see)
	return err
}

// measureEpoch takes the time that the end of an epoch takes, compares it with
// the bare loop, and tells what callers feel of it.
func measureEpoch(ctx context.Context, o *KeyOptions) ([]Result, error) {
	return withCallers(ctx, o, func(k *keyCallers) ([]Result, error) {
		filled, err := k.p.order(keyOrder{Do: doPersons, N: o.Persons})
		if err != nil {
			return nil, err
		}
		var whole, rewrap pairs
		var seconds, persons, crypto []float64
		steps := make(map[string][]float64)
		for range o.Rounds {
			a, err := k.p.order(keyOrder{Do: doEpoch})
			if err != nil {
				return nil, err
			}
			bare, err := k.p.order(keyOrder{Do: doBareEpoch, N: min(o.Persons+o.Subjects, bareEpochMost)})
			if err != nil {
				return nil, err
			}
			whole.add(a.rate(), bare.rate())
			rewrap.add(a.N/(a.Seconds-a.Steps["compacting"]-a.Steps["destroying the key"]), bare.rate())
			seconds, persons = append(seconds, a.Seconds), append(persons, a.N)
			crypto = append(crypto, bare.Steps["crypto"]*1e9/bare.N)
			for _, s := range epochSteps() {
				steps[s[0]] = append(steps[s[0]], a.Steps[s[0]])
			}
		}
		const name = "end of an epoch"
		parts := ""
		for _, s := range epochSteps() {
			parts += fmt.Sprintf(", %s %.2f s (%.0f %%)", s[1], median(steps[s[0]]), 100*median(steps[s[0]])/median(seconds))
		}
		out := []Result{
			{Name: name, Figure: fmt.Sprintf("%.2f s for %.0f persons%s", median(seconds), median(persons), parts)},
			whole.result(name+" / bare loop of unwrap, wrap, put", "persons a second", ""),
			rewrap.result(name+", without compaction and destruction / bare loop", "persons a second", ""),
			{Name: "bare unwrap and wrap, without a store", Figure: fmt.Sprintf("%.0f ns a person", median(crypto))},
			{Name: "filling keys.db for this", Figure: fmt.Sprintf("%.1f s for %d persons", filled.Seconds, o.Persons)},
		}
		felt, err := k.slowdown(ctx, choreEpoch, "the end of an epoch", "persons", "> 0.8")
		return append(out, felt...), err
	})
}
