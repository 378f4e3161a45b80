package bench

import (
	"context"
	"errors"
	"math/rand/v2"

	"github.com/cloakroom-vault/cloakroom/server/daemon"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// bareLoop is the floor of a batch: the gets from the vault's own files and
// the opens of values of the same size under keys of the bench.
type bareLoop struct {
	values, keys *boltstore.Store
	cells        [][]byte // keys of the cells of card numbers, one a person
	people       [][]byte // keys of the persons' keys
	locks        *bareLocks
}

func newBareLoop(ctx context.Context, node *daemon.Node, subjects int) (*bareLoop, error) {
	values, ok := node.Values.(*boltstore.Store)
	keyStore, ok2 := node.Keys.(*boltstore.Store)
	if !ok || !ok2 {
		return nil, errors.New("bench: the floor is that of the bbolt engine")
	}
	b := &bareLoop{values: values, keys: keyStore}
	var card uint32
	for from := []byte{0}; ; {
		page, err := values.Scan(ctx, rows.People, from, nil, 1000)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			k, err := rows.ParsePersonKey(r.Key)
			if err != nil {
				return nil, err
			}
			if k.Field > card {
				card = k.Field // the card is the last field of the record
			}
			if k.Field != 0 && k.Field == card {
				b.cells = append(b.cells, r.Key)
				b.people = append(b.people, rows.RefKey(k.Ref))
			}
		}
		from = store.Next(page[len(page)-1].Key)
	}
	for len(b.cells) > subjects { // fields with lower numbers seen before the card
		b.cells, b.people = b.cells[1:], b.people[1:]
	}
	var err error
	b.locks, err = newBareLocks(len(b.cells), 32)
	return b, err
}

// time runs the loop over n items in batches of 1,000 and returns the CPU
// nanoseconds an item. Not cached, each item also reads and unwraps a person's
// key.
func (b *bareLoop) time(n int, cached bool) (float64, error) {
	const batch = 1000
	dst := make([]byte, 0, 256)
	at := make([]int, batch)
	cells, people := make([][]byte, batch), make([][]byte, batch)
	begun := cpu()
	for done := 0; done < n; done += batch {
		for i := range at {
			at[i] = rand.IntN(len(b.cells))
			cells[i], people[i] = b.cells[at[i]], b.people[at[i]]
		}
		if !cached {
			err := b.keys.Floor(rows.Subjects, people, func(i int, _ []byte) error {
				_, err := b.locks.unwrap(dst, at[i])
				return err
			})
			if err != nil {
				return 0, err
			}
		}
		err := b.values.Floor(rows.People, cells, func(i int, _ []byte) error {
			_, err := b.locks.open(dst, at[i])
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return (cpu() - begun) * 1e9 / float64(n), nil
}
