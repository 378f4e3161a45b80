package filekek

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const tombstone = "cloakroom-epoch-destroyed-v1\n"

// Epochs is a keys.EpochKEK that keeps one file an epoch in a directory. It
// holds no key between calls, so that a destroyed one is in no memory of it.
// It is safe for concurrent use, also by several processes.
type Epochs struct {
	dir string

	// mu is held for reading while a key is in use and for writing by Create
	// and Destroy, so that within this process no Wrap goes on past a Destroy.
	mu sync.RWMutex
}

var _ keys.EpochKEK = (*Epochs)(nil)

// CreateEpochs makes the directory, with mode 0700, and opens it. ErrExists
// when there is something at dir already.
func CreateEpochs(dir string) (*Epochs, error) {
	err := os.Mkdir(dir, 0o700)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("%w: %s", keys.ErrExists, dir)
	case err != nil:
		return nil, fmt.Errorf("making the directory of epoch keys: %w", err)
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return nil, fmt.Errorf("making the directory of epoch keys: %w", err)
	}
	return OpenEpochs(dir)
}

// OpenEpochs opens a directory of epoch keys. ErrNoKey when there is none,
// ErrDenied when its owner or mode is not as the package demands; every later
// call checks that again.
func OpenEpochs(dir string) (*Epochs, error) {
	e := &Epochs{dir: dir}
	return e, e.check()
}

func (e *Epochs) check() error {
	info, err := os.Stat(e.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: directory %s does not exist", keys.ErrNoKey, e.dir)
	case err != nil:
		return fmt.Errorf("%w: directory of epoch keys: %w", keys.ErrAway, err)
	}
	return checkDir(e.dir, info, os.Geteuid())
}

// Name implements keys.EpochKEK.
func (e *Epochs) Name() string { return "epoch-files" }

func (e *Epochs) keyPath(epoch uint32) string {
	return filepath.Join(e.dir, fmt.Sprintf("epoch-%010d.key", epoch))
}

func (e *Epochs) tombPath(epoch uint32) string {
	return filepath.Join(e.dir, fmt.Sprintf("epoch-%010d.destroyed", epoch))
}

// begin does what every call does first.
func (e *Epochs) begin(ctx context.Context, epoch uint32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := e.check(); err != nil {
		return err
	}
	_, err := os.Lstat(e.tombPath(epoch))
	switch {
	case err == nil:
		return fmt.Errorf("%w: epoch %d", keys.ErrDestroyed, epoch)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: epoch %d: %w", keys.ErrAway, epoch, err)
	}
	return nil
}

// Create implements keys.EpochKEK.
func (e *Epochs) Create(ctx context.Context, epoch uint32) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin(ctx, epoch); err != nil {
		return err
	}
	var key [keys.SecretSize]byte
	_, _ = rand.Read(key[:])
	defer clear(key[:])
	text := formatKey(epochPrefix, &key)
	defer clear(text)
	err := writeNew(e.keyPath(epoch), text)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: epoch %d", keys.ErrExists, epoch)
	case err != nil:
		return fmt.Errorf("%w: writing the key of epoch %d: %w", keys.ErrAway, epoch, err)
	}
	return nil
}

// Wrap implements keys.EpochKEK.
func (e *Epochs) Wrap(ctx context.Context, epoch uint32, plaintext, aad []byte) ([]byte, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	c, err := e.cipher(ctx, epoch)
	if err != nil {
		return nil, err
	}
	return c.wrap(plaintext, epochAAD(epoch, aad))
}

// Unwrap implements keys.EpochKEK.
func (e *Epochs) Unwrap(ctx context.Context, epoch uint32, blob, aad []byte) ([]byte, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	c, err := e.cipher(ctx, epoch)
	if err != nil {
		return nil, err
	}
	return c.unwrap(blob, epochAAD(epoch, aad))
}

func epochAAD(epoch uint32, aad []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, epoch), aad...)
}

func (e *Epochs) cipher(ctx context.Context, epoch uint32) (*fileCipher, error) {
	if err := e.begin(ctx, epoch); err != nil {
		return nil, err
	}
	key, err := keyFile(e.keyPath(epoch)).readKey(epochPrefix)
	defer clear(key[:])
	if err != nil {
		return nil, fmt.Errorf("epoch %d: %w", epoch, err)
	}
	return newCipher(&key)
}

// Destroy implements keys.EpochKEK. The tombstone comes first: from then on
// the key is refused, and a Destroy that was cut off is finished by the next.
func (e *Epochs) Destroy(ctx context.Context, epoch uint32) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch err := e.begin(ctx, epoch); {
	case errors.Is(err, keys.ErrDestroyed):
	case err != nil:
		return err
	default:
		if _, err := os.Lstat(e.keyPath(epoch)); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: epoch %d", keys.ErrNoKey, epoch)
		}
		if err := writeNew(e.tombPath(epoch), []byte(tombstone)); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%w: destroying epoch %d: %w", keys.ErrAway, epoch, err)
		}
	}
	if err := e.shred(epoch); err != nil {
		return fmt.Errorf("%w: destroying epoch %d: %w", keys.ErrAway, epoch, err)
	}
	return nil
}

// Destruction implements keys.EpochKEK.
func (e *Epochs) Destruction() keys.Destruction {
	return keys.Destruction{
		How: "the key file is overwritten in place and unlinked; copies of it that the file system, the drive, snapshots or backups of the directory keep are not reached",
	}
}

// shred overwrites and unlinks every file that may hold the key, the left
// overs of a Create that was cut off included.
func (e *Epochs) shred(epoch uint32) error {
	entries, err := os.ReadDir(e.dir)
	if err != nil {
		return err
	}
	name := filepath.Base(e.keyPath(epoch))
	for _, entry := range entries {
		if n := entry.Name(); n == name || strings.HasPrefix(n, "."+name+".tmp-") {
			if err := overwrite(filepath.Join(e.dir, n)); err != nil {
				return err
			}
			if err := os.Remove(filepath.Join(e.dir, n)); err != nil {
				return err
			}
		}
	}
	return syncDir(e.dir)
}
