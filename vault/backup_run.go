package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/backup"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// BackupOptions say where a backup goes and who asked for it.
type BackupOptions struct {
	// Values and Keys are the folders of the two artefacts. All four are
	// required.
	Values, Keys *backup.Folder
	// ValuesKEK and KeysKEK wrap the artefacts' keys. Whoever has both and the
	// artefacts has a copy of the vault, but for what the vault's own KEK and
	// the epoch's provider still hold shut.
	ValuesKEK, KeysKEK keys.KEK
	// By is who asked, for the audit log, such as "local:1000".
	By string
	// Program names this program with its version, for the manifests.
	Program string
}

// BackupReport says what a backup holds.
type BackupReport struct {
	Values, Keys backup.Artefact
	// ValuesManifest and KeysManifest are as they were read back.
	ValuesManifest, KeysManifest backup.Manifest
	// Epochs counts the persons' keys of each erasure epoch in the copy.
	Epochs map[uint32]uint64
	Took   time.Duration
}

// ErrNoSnapshot: the engine of a store cannot hold one state of it, which a
// backup is made from.
var ErrNoSnapshot = errors.New("the storage engine cannot be backed up while it is open")

// forgotten is the ordered table that is in no copy: remembered requests are
// scattered rows, which a restore forgets, and these are when to forget them.
const forgotten = rows.RequestExpiry

// Backup copies both stores as they are at one moment each, the values first,
// into two artefacts, and opens both again to the end before it returns. Calls
// go on meanwhile. It is the act of who runs the machine: no right is asked.
// The audit log names it before an artefact has its name. The persons' keys in
// the copy stay wrapped under the erasure epoch, whose own key is in no copy.
//
// A key that is missing in the copy of the keys, since its person was erased
// between the two moments, is no fault: the log, which a restore reads from the
// position that the manifests name, tells of the erasure.
func (v *Vault) Backup(ctx context.Context, o BackupOptions) (*BackupReport, error) {
	began := v.now()
	if o.Values == nil || o.Keys == nil || o.ValuesKEK == nil || o.KeysKEK == nil || o.By == "" {
		return nil, errors.New("vault: a required part is missing from the options of the backup")
	}
	values, ok := v.values.(store.Snapshotter)
	keySnaps, too := v.keys.(store.Snapshotter)
	if !ok || !too {
		return nil, ErrNoSnapshot
	}
	m, err := v.backupManifest(ctx, began)
	if err != nil {
		return nil, err
	}
	m.Program = o.Program
	entry := &audit.Entry{
		Action: audit.ActionBackup, Principal: o.By, Object: "pair " + m.Pair.String(),
		PolicyVersion: v.PolicyVersion(), Outcome: audit.Allowed,
	}
	if err := waitFor(ctx, v.log.Append(entry)); err != nil {
		return nil, err
	}
	// The log's position was taken first: what is below it is in both copies.
	ofValues, err := values.Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("back up values.db: %w", err)
	}
	defer func() { _ = ofValues.Close() }() // it was only read
	ofKeys, err := keySnaps.Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("back up keys.db: %w", err)
	}
	defer func() { _ = ofKeys.Close() }() // it was only read
	r := &BackupReport{Epochs: make(map[uint32]uint64)}
	if err := v.backupValues(ctx, &o, m, ofValues, r); err != nil {
		return nil, fmt.Errorf("back up values.db: %w", err)
	}
	if err := v.backupKeys(ctx, &o, m, ofKeys, r); err != nil {
		return nil, errors.Join(fmt.Errorf("back up keys.db: %w", err), o.Values.Remove(r.Values))
	}
	r.Took = v.now().Sub(began)
	return r, nil
}

// backupManifest notes where the log is, and what else a manifest of either
// kind says.
func (v *Vault) backupManifest(ctx context.Context, now time.Time) (backup.Manifest, error) {
	m := backup.Manifest{Vault: v.id, Time: now.UTC(), Keysets: make(map[string]uint64)}
	_, _ = rand.Read(m.Pair[:]) // it never fails
	var err error
	if m.Log, err = v.logPosition(ctx); err != nil {
		return m, fmt.Errorf("note where the audit log is: %w", err)
	}
	for _, info := range v.ring.Snapshot().Info() {
		m.Keysets[info.ID.String()] = info.Generation
	}
	return m, nil
}

// logPosition returns a position of the log, and the root of the tree up to it:
// that of the last checkpoint, which costs nothing, or of all entries.
func (v *Vault) logPosition(ctx context.Context) (backup.Log, error) {
	if p, ok := v.log.(publishedLog); ok {
		if cp, _ := p.Published(); cp != nil && cp.Size > 0 && cp.Size >= v.logFirst() {
			return backup.Log{Entries: cp.Size, Root: backup.Hash(cp.Root)}, nil
		}
	}
	size := v.log.Size()
	if size == 0 {
		return backup.Log{}, nil
	}
	root, err := v.rootAt(ctx, size)
	return backup.Log{Entries: size, Root: root}, err
}

// logFirst returns the first entry that the log keeps.
func (v *Vault) logFirst() uint64 {
	if r, ok := v.log.(audit.Reader); ok {
		return r.First()
	}
	return 0
}

// rootAt returns the root of the log's tree over its first entries.
func (v *Vault) rootAt(ctx context.Context, size uint64) (backup.Hash, error) {
	rooted, ok := v.log.(rootedLog)
	if !ok {
		return backup.Hash{}, errors.New("vault: this audit log has no tree")
	}
	signer, err := v.AuditSigner()
	if err != nil {
		return backup.Hash{}, err
	}
	root, err := rooted.RootAt(ctx, size, signer.VerifierKey())
	return backup.Hash(root), err
}

func (v *Vault) backupValues(ctx context.Context, o *BackupOptions, m backup.Manifest, s store.Snapshot, r *BackupReport) (err error) {
	m.Kind = backup.Values
	m.Tables, m.LeftOut = backupTables(rows.ValueTables(), forgotten)
	if err := readSnapshotControl(ctx, s, &m); err != nil {
		return err
	}
	if r.Values, _, err = o.Values.Write(ctx, o.ValuesKEK, m, dumpOf(ctx, v.yieldToCallers, s, m.Tables)); err != nil {
		return err
	}
	if r.ValuesManifest, err = testOpen(ctx, r.Values.Path, o.ValuesKEK); err != nil {
		return errors.Join(err, o.Values.Remove(r.Values))
	}
	return nil
}

func (v *Vault) backupKeys(ctx context.Context, o *BackupOptions, m backup.Manifest, s store.Snapshot, r *BackupReport) (err error) {
	m.Kind, m.Control, m.Lane = backup.Keys, r.ValuesManifest.Control, r.ValuesManifest.Lane
	m.Tables, m.LeftOut = backupTables(rows.KeyTables(), 0)
	if err := snapshotEpochs(ctx, s, &m, r.Epochs); err != nil {
		return err
	}
	if r.Keys, _, err = o.Keys.Write(ctx, o.KeysKEK, m, dumpOf(ctx, v.yieldToCallers, s, m.Tables)); err != nil {
		return err
	}
	if r.KeysManifest, err = testOpen(ctx, r.Keys.Path, o.KeysKEK); err != nil {
		return errors.Join(err, o.Keys.Remove(r.Keys))
	}
	return nil
}

// backupTables returns the tables of a store that are copied, and the names of
// the others.
func backupTables(all []store.Table, without uint8) (tables []backup.Table, left []string) {
	for _, t := range all {
		if t.Kind != store.Ordered || t.Number == without {
			left = append(left, t.Name)
			continue
		}
		tables = append(tables, backup.Table{Number: t.Number, Name: t.Name})
	}
	slices.SortFunc(tables, func(a, b backup.Table) int { return int(a.Number) - int(b.Number) })
	return tables, left
}

// backupStep is how many rows a backup writes before it gives way to callers.
const backupStep = 2000

// dumpOf emits all rows of a snapshot, giving way now and then.
func dumpOf(ctx context.Context, yield func(context.Context, time.Duration) error, s store.Snapshot, tables []backup.Table) func(backup.Emit) error {
	return func(emit backup.Emit) error {
		for _, t := range tables {
			n, began := 0, time.Now()
			err := s.Each(ctx, t.Number, func(key, value []byte) error {
				if n++; n%backupStep == 0 {
					if err := yield(ctx, time.Since(began)); err != nil {
						return err
					}
					began = time.Now()
				}
				return emit(t.Number, key, value)
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// errFound ends a walk that has what it wants.
var errFound = errors.New("found")

// readSnapshotControl reads the numbers of the control row, which is the first
// of its table, and the lane.
func readSnapshotControl(ctx context.Context, s store.Snapshot, m *backup.Manifest) error {
	err := s.Each(ctx, rows.People, func(key, value []byte) error {
		if string(key) != string(rows.ControlKey) {
			return fmt.Errorf("%w: the control row is missing", store.ErrCorrupt)
		}
		c, err := rows.ParseControl(value)
		if err != nil {
			return err
		}
		m.Control = backup.Control{Policy: c.Policy, Keysets: c.Keysets, Freezes: c.Freezes}
		return errFound
	})
	if !errors.Is(err, errFound) {
		return errors.Join(err, fmt.Errorf("%w: no control row", store.ErrCorrupt))
	}
	m.Lane = rows.FirstLane
	return s.Each(ctx, rows.Control, func(key, value []byte) error {
		if string(key) != string(rows.LaneKey) {
			return nil
		}
		n, err := store.Counter(value)
		m.Lane = uint64(n)
		return err
	})
}

// snapshotEpochs reads which erasure epoch begins new persons' keys, and counts
// the keys of each. While the end of an epoch is under way there are two.
func snapshotEpochs(ctx context.Context, s store.Snapshot, m *backup.Manifest, count map[uint32]uint64) error {
	err := s.Each(ctx, rows.KeyControl, func(key, value []byte) error {
		if string(key) != string(rows.EpochKey) {
			return nil
		}
		e, err := rows.ParseEpoch(value)
		m.Epoch = e.Number
		return err
	})
	if err != nil {
		return err
	}
	err = s.Each(ctx, rows.Subjects, func(_, value []byte) error {
		epoch, _, err := keys.SubjectKeyEpoch(value)
		if err != nil {
			return nil // damaged: a restore tells what that means
		}
		count[epoch]++
		return nil
	})
	if err != nil {
		return err
	}
	for epoch := range count {
		switch {
		case epoch == m.Epoch:
		case m.PreviousEpoch != 0:
			return fmt.Errorf("%w: persons' keys are of epochs %d and %d, now is %d", store.ErrCorrupt, m.PreviousEpoch, epoch, m.Epoch)
		default:
			m.PreviousEpoch = epoch
		}
	}
	return nil
}

// testOpen reads an artefact to its end.
func testOpen(ctx context.Context, path string, kek keys.KEK) (backup.Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return backup.Manifest{}, err
	}
	defer f.Close()
	r, err := backup.Open(ctx, f, kek)
	if err != nil {
		return backup.Manifest{}, fmt.Errorf("open %s again: %w", path, err)
	}
	for n := 0; ; n++ {
		_, _, _, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r.Manifest(), nil
		}
		if err == nil && n%1024 == 0 {
			err = ctx.Err()
		}
		if err != nil {
			return backup.Manifest{}, fmt.Errorf("read %s again: %w", path, err)
		}
	}
}
