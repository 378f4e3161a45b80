package transitkek

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// epochVersion is the one version of an epoch's key that is ever used. Those
// after it are only there to let it be trimmed away.
const epochVersion = 1

// Epochs is a keys.EpochKEK whose keys stay in a transit engine, one key an
// epoch. It is safe for concurrent use, also by several processes. Close it
// when it is no longer needed.
type Epochs struct {
	e      *engine
	prefix string
}

var _ keys.EpochKEK = (*Epochs)(nil)

// OpenEpochs logs in; it makes no key and looks at none. ErrUsage names a
// field of o that is not as it should be; ErrDenied, ErrAway, or the
// context's.
func OpenEpochs(ctx context.Context, o Options) (*Epochs, error) {
	return openEpochs(ctx, o, nil, firstBackoff)
}

func openEpochs(ctx context.Context, o Options, rt http.RoundTripper, backoff time.Duration) (*Epochs, error) {
	if err := checkName("Prefix", o.Prefix); err != nil {
		return nil, err
	}
	e, err := newEngine(ctx, o, rt, backoff)
	if err != nil {
		return nil, err
	}
	return &Epochs{e, o.Prefix}, nil
}

// Close is KEK.Close.
func (e *Epochs) Close() { e.e.s.close() }

// Name implements keys.EpochKEK: "transit", mount and the prefix of the keys.
func (e *Epochs) Name() string { return "transit/" + e.e.mount + "/" + e.prefix + "-epoch" }

// String implements fmt.Stringer.
func (e *Epochs) String() string { return e.Name() }

func (e *Epochs) key(epoch uint32) string { return fmt.Sprintf("%s-epoch-%d", e.prefix, epoch) }

// Create implements keys.EpochKEK. The engine takes a second creation for a
// good one and only warns, so that warning decides who made the key. It is
// never tried again by itself: an answer that was lost would look like a key
// of somebody else's.
func (e *Epochs) Create(ctx context.Context, epoch uint32) error {
	key := e.key(epoch)
	switch st, err := e.e.read(ctx, key); {
	case err == nil && st.gone(epochVersion):
		return fmt.Errorf("%w: epoch %d", keys.ErrDestroyed, epoch)
	case err == nil:
		return fmt.Errorf("%w: epoch %d", keys.ErrExists, epoch)
	case !errors.Is(err, keys.ErrNoKey):
		return fmt.Errorf("epoch %d: %w", epoch, err)
	}
	r := e.e.post("creating key "+key, "keys", key, map[string]any{
		"type": keyType, "derived": false, "convergent_encryption": false, "exportable": false,
		"allow_plaintext_backup": false, "auto_rotate_period": 0,
	})
	r.once = true
	var out stateAnswer
	if err := e.e.s.call(ctx, r, &out); err != nil {
		return fmt.Errorf("epoch %d: %w", epoch, err)
	}
	if out.Data == nil { // an old engine does not say whether it made the key
		return fmt.Errorf("%w: %s: the engine must be Vault 1.13 or OpenBao 2.0 at least", keys.ErrUsage, r.op)
	}
	if slices.ContainsFunc(out.Warnings, func(w string) bool { return strings.Contains(w, "already exist") }) {
		return fmt.Errorf("%w: epoch %d", keys.ErrExists, epoch)
	}
	return e.check(epoch, out.Data)
}

// check wants the key to be one that Destroy can end.
func (e *Epochs) check(epoch uint32, st *state) error {
	if err := cmp.Or(st.usable(epochVersion), st.fits()); err != nil {
		return fmt.Errorf("epoch %d: %w", epoch, err)
	}
	if st.Exportable || st.Backup {
		return fmt.Errorf("%w: epoch %d: key %s can be exported or backed up, and a copy cannot be destroyed", keys.ErrUsage, epoch, e.key(epoch))
	}
	return nil
}

// Wrap implements keys.EpochKEK. ErrUsage for a key that can be exported or
// backed up.
func (e *Epochs) Wrap(ctx context.Context, epoch uint32, plaintext, aad []byte) ([]byte, error) {
	st, err := e.e.read(ctx, e.key(epoch))
	if err != nil {
		return nil, fmt.Errorf("epoch %d: %w", epoch, err)
	}
	if err := e.check(epoch, st); err != nil {
		return nil, err
	}
	blob, err := e.e.encrypt(ctx, e.key(epoch), epochVersion, plaintext, aad)
	if err != nil {
		return nil, fmt.Errorf("epoch %d: %w", epoch, err)
	}
	return blob, nil
}

// Unwrap implements keys.EpochKEK.
func (e *Epochs) Unwrap(ctx context.Context, epoch uint32, blob, aad []byte) ([]byte, error) {
	out, err := e.e.unwrap(ctx, e.key(epoch), blob, aad)
	if err != nil {
		return nil, fmt.Errorf("epoch %d: %w", epoch, err)
	}
	return out, nil
}

// Destroy implements keys.EpochKEK. It puts a new version in the place of the
// one that was used, forbids that one, and has it trimmed away; the name of
// the key stays, and says that there was one. Each step may be repeated, and
// what was cut off is finished by the next Destroy. It returns nil only when
// the engine, asked again, no longer has the version.
func (e *Epochs) Destroy(ctx context.Context, epoch uint32) error {
	var err error
	for range attempts {
		// Two that destroy at once may make each other's steps senseless.
		if err = e.destroy(ctx, e.key(epoch)); !answered(err, http.StatusBadRequest) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("destroying epoch %d: %w", epoch, err)
	}
	return nil
}

// Destruction implements keys.EpochKEK.
func (e *Epochs) Destruction() keys.Destruction {
	return keys.Destruction{
		How: "the version of the transit key is forbidden and trimmed away; snapshots, backups and old versions of the engine's own storage are not reached",
	}
}

func (e *Epochs) destroy(ctx context.Context, key string) error {
	st, err := e.e.read(ctx, key)
	if err != nil || st.gone(epochVersion) {
		return err
	}
	if st.Latest <= epochVersion {
		if err := e.step(ctx, key, "rotate", struct{}{}); err != nil {
			return err
		}
		if st, err = e.e.read(ctx, key); err != nil {
			return err
		}
	}
	if err := e.step(ctx, key, "config", map[string]any{
		"min_decryption_version": st.Latest, "min_encryption_version": st.Latest, "deletion_allowed": false,
	}); err != nil {
		return err
	}
	if err := e.step(ctx, key, "trim", map[string]any{"min_available_version": st.Latest}); err != nil {
		return err
	}
	if st, err = e.e.read(ctx, key); err == nil && !st.gone(epochVersion) {
		err = fmt.Errorf("%w: the engine still has the key", keys.ErrAway)
	}
	return err
}

func (e *Epochs) step(ctx context.Context, key, verb string, in any) error {
	return e.e.s.call(ctx, request{
		op: verb + " of key " + key, method: http.MethodPost, path: e.e.mount + "/keys/" + key + "/" + verb, in: in,
	}, nil)
}
