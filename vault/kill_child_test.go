package vault_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// parts is a vault on disk with everything under it, as a daemon has it.
type parts struct {
	vault  *vault.Vault
	keys   store.Store
	values store.Store
	log    *audit.FileLog
}

func secrets(dir string) (*filekek.KEK, *filekek.Epochs, error) {
	kek, err := filekek.Open(filepath.Join(dir, "kek"))
	if err != nil {
		return nil, nil, err
	}
	epochs, err := filekek.OpenEpochs(filepath.Join(dir, "epochs"))
	return kek, epochs, err
}

// openParts opens the vault in dir; with create it makes it first.
func openParts(ctx context.Context, dir string, create bool) (_ *parts, err error) {
	p := &parts{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	kek, epochs, err := secrets(dir)
	if err != nil {
		return nil, err
	}
	if p.log, err = audit.Open(filepath.Join(dir, "audit"), audit.Options{SegmentSize: 64 << 10}); err != nil {
		return nil, err
	}
	p.keys, err = boltstore.Open(boltstore.Options{Path: filepath.Join(dir, "keys.db"), Tables: rows.KeyTables()})
	if err != nil {
		return nil, err
	}
	o := vault.Options{Keys: p.keys, KEK: kek, Epochs: epochs, Log: p.log, Values: func(s vault.Sealer) (store.Store, error) {
		p.values, err = boltstore.Open(boltstore.Options{Path: filepath.Join(dir, "values.db"), Tables: rows.ValueTables(), Seal: s, MergeRows: 100})
		return p.values, err
	}}
	if create {
		if err := vault.Create(ctx, o, vaulttest.Admin); err != nil {
			return nil, err
		}
	}
	p.vault, err = vault.Open(ctx, o)
	return p, err
}

func (p *parts) close() error {
	var all []error
	if p.vault != nil {
		all = append(all, p.vault.Close())
	}
	if p.keys != nil {
		all = append(all, p.keys.Close())
	}
	if p.log != nil {
		all = append(all, p.log.Close())
	}
	return errors.Join(all...)
}

const (
	killWorkers  = 8
	killSubjects = 4 // of each worker
)

func killSubject(worker, n int) string { return fmt.Sprintf("w%d-s%d", worker, n) }

// killValues are the values that the n-th state of a subject has: all or none
// of them must be found.
func killValues(n uint64) []string {
	return []string{"note", fmt.Sprintf("note %d", n), "email", fmt.Sprintf("a%d@example.org", n), "email", fmt.Sprintf("b%d@example.org", n),
		"full_name", "Ada L" + strings.Repeat("x", int(n%40))}
}

// writeUntilKilled creates, updates and deletes records, telling its parent
// what it is about to do and what was acknowledged.
func writeUntilKilled(dir string) error {
	ctx := context.Background()
	p, err := openParts(ctx, dir, false)
	if err != nil {
		return err
	}
	var out sync.Mutex
	say := func(format string, a ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Fprintf(os.Stdout, format+"\n", a...)
	}
	var all sync.WaitGroup
	errs := make(chan error, killWorkers)
	for worker := range killWorkers {
		all.Go(func() {
			for {
				if err := killStep(ctx, p.vault, worker, say); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	return <-errs
}

// killStep does one thing with one subject. Its number names the state it
// makes and the request, for the audit log.
func killStep(ctx context.Context, v *vault.Vault, worker int, say func(string, ...any)) error {
	subject, n := killSubject(worker, rand.IntN(killSubjects)), rand.Uint64()>>16
	c := as("shop")
	c.Request = fmt.Sprint(n)
	got, err := v.GetRecords(ctx, as("analyst"), vault.GetRequest{Collection: "customers", SubjectIDs: []string{subject}, Domain: "analytics"})
	if err != nil {
		return err
	}
	there := got[0].Err == nil
	in := vault.RecordInput{SubjectID: subject, Fields: fields(killValues(n)...)}
	var r *vault.Record
	switch roll := rand.IntN(10); {
	case there && roll < 3:
		say("try %s delete %d", subject, n)
		_, err = v.DeleteRecord(ctx, c, vault.DeleteRequest{Collection: "customers", SubjectID: subject})
	case there:
		say("try %s set %d", subject, n)
		r, err = v.UpdateRecord(ctx, c, vault.UpdateRequest{Collection: "customers", Record: in})
	default:
		say("try %s set %d", subject, n)
		var results []vault.RecordResult
		if results, err = v.PutRecords(ctx, c, vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{in}}); err == nil {
			if results[0].Err != nil {
				return results[0].Err
			}
			r = results[0].Record
		}
	}
	if err != nil {
		return err
	}
	token := "-"
	if r != nil {
		token = tokensOf(r, "note")[0]
	}
	say("ack %s %s", subject, token)
	return nil
}
