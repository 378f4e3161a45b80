package vault

import (
	"context"
	"errors"
)

// errStale says that the control row is not the one that a call was decided
// by. It never leaves the package.
var errStale = errors.New("decided by what is not in force any more")

// passing is failure, but lets errStale pass.
func passing(err error) error {
	if errors.Is(err, errStale) {
		return err
	}
	return failure(err)
}

// steady runs a read, and again when it returns errStale, each time with the
// state then in force: so a call that reads after a freeze was acknowledged
// obeys it, whatever it was decided by, and also when another node froze.
func steady[T any](ctx context.Context, v *Vault, read func(*state) (T, error)) (T, error) {
	v.pace.calls.Add(1)
	for range maxAttempts {
		out, err := read(v.state.Load())
		if !errors.Is(err, errStale) {
			return out, err
		}
		if _, err := v.reload(ctx); err != nil {
			var none T
			return none, failure(err)
		}
	}
	var none T
	return none, fail(Contention, "")
}
