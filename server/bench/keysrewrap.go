package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault"
)

// rewrap rotates the keyset of the card, or with n the keysets of all fields at
// once, and waits until every value stands under the version in use. The parts
// are the count that finds out what there is to do, and the rest: the re-wrap
// and the count that ends it.
func (c *keyChild) rewrap(ctx context.Context, n int, look func(*vault.KeyWork, time.Time)) (keyAnswer, error) {
	v := c.node.Vault
	var begun time.Time
	if n == 0 {
		begun = time.Now()
		if err := rotateField(ctx, v, cardField); err != nil {
			return keyAnswer{}, err
		}
	} else {
		// A re-wrap that ran between two rotations would go through the rest twice.
		if err := v.PauseRewrap(ctx, keeper(), ""); err != nil {
			return keyAnswer{}, err
		}
		for _, f := range recordFields() {
			if err := rotateField(ctx, v, f); err != nil {
				return keyAnswer{}, err
			}
		}
		begun = time.Now()
		if err := v.ResumeRewrap(ctx, keeper(), ""); err != nil {
			return keyAnswer{}, err
		}
	}
	w, err := await(ctx, v, vault.WorkRewrap, begun, func(w *vault.KeyWork) { look(w, begun) })
	if err != nil {
		return keyAnswer{}, err
	}
	if w.Left != 0 || w.Problem != "" {
		return keyAnswer{}, fmt.Errorf("%d values were left: %s", w.Left, w.Problem)
	}
	return keyAnswer{
		N: float64(w.Done), Seconds: w.Ended.Sub(begun).Seconds(),
		Steps: map[string]float64{"counting": w.Started.Sub(begun).Seconds(), "re-wrapping": w.Ended.Sub(w.Started).Seconds()},
	}, nil
}

func rotateField(ctx context.Context, v *vault.Vault, field string) error {
	_, err := v.RotateKey(ctx, keeper(), vault.KeyChange{Key: vault.KeyRef{Kind: vault.KeyField, Name: field}})
	return err
}

// rewrapOnce is rewrap of all fields as a chore.
func (c *keyChild) rewrapOnce(ctx context.Context, t *tally) error {
	_, err := c.rewrap(ctx, len(recordFields()), t.see)
	return err
}

// measureRewrap compares the re-wrap, with nobody calling, with the bare loop.
func measureRewrap(ctx context.Context, o *KeyOptions) (_ []Result, err error) {
	p, err := o.process(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	var out []Result
	for n, name := range []string{"re-wrap after the rotation of 1 field of 3", "re-wrap after the rotation of 3 fields of 3"} {
		var whole, second pairs
		var counting []float64
		var last keyAnswer
		for range o.Rounds {
			if last, err = p.order(keyOrder{Do: doRewrap, N: n}); err != nil {
				return nil, err
			}
			bare, err := p.order(keyOrder{Do: doBareRewrap, N: n})
			if err != nil {
				return nil, err
			}
			whole.add(last.rate(), bare.rate())
			second.add(last.N/last.Steps["re-wrapping"], bare.rate())
			counting = append(counting, last.Steps["counting"])
		}
		out = append(out,
			whole.result(name+" / bare loop", "values a second", ">= 0.5"),
			second.result(name+", without the first count / bare loop", "values a second", ""),
			Result{Name: name, Figure: fmt.Sprintf("%.0f values in %.2f s, of it %.2f s the first count", last.N, last.Seconds, median(counting))},
		)
	}
	return out, nil
}
