package vault

import (
	"context"
	"errors"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

const (
	// fsckLot is how many repairs are committed together at most.
	fsckLot = 256
	// fsckRepairs is how often one repair is tried while others change what it
	// was derived from.
	fsckRepairs = 8
)

// fsckFix is a repair of the values that waits for its commit.
type fsckFix struct {
	finding FsckFinding
	batch   *store.Batch
	// again looks at the same thing anew, when the batch conflicts.
	again func(context.Context) error
}

// tell tells a finding, or keeps it until it was repaired.
func (f *fsck) tell(x FsckFinding, fix func() *store.Batch, again func(context.Context) error, tried int) {
	if !f.o.Repair || fix == nil || tried >= fsckRepairs {
		f.find(x)
		return
	}
	f.lot = append(f.lot, fsckFix{x, fix(), again})
}

// flush commits the repairs that wait: together, and each for itself when one
// of them conflicts.
func (f *fsck) flush(ctx context.Context) error {
	for len(f.lot) > 0 {
		lot := f.lot[:min(len(f.lot), fsckLot)]
		f.lot = f.lot[len(lot):]
		var all store.Batch
		for i := range lot {
			all.Requires = append(all.Requires, lot[i].batch.Requires...)
			all.Writes = append(all.Writes, lot[i].batch.Writes...)
		}
		err := f.v.values.Commit(ctx, &all)
		// Two that write one row cannot go together.
		if apart := isConflict(err) || errors.Is(err, store.ErrUsage); apart && len(lot) > 1 {
			for i := range lot {
				if err := f.flushOne(ctx, &lot[i]); err != nil {
					return err
				}
			}
			continue
		} else if apart {
			err = f.flushOne(ctx, &lot[0])
			if err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		for i := range lot {
			lot[i].finding.Repaired = true
			f.find(lot[i].finding)
		}
	}
	return nil
}

func (f *fsck) flushOne(ctx context.Context, x *fsckFix) error {
	switch err := f.v.values.Commit(ctx, x.batch); {
	case isConflict(err):
		return x.again(ctx) // it may be no fault any more
	case err != nil:
		return err
	}
	x.finding.Repaired = true
	f.find(x.finding)
	return nil
}

// sweepOne deletes a key without a person, by the rule of the sweep at a start:
// not when the person has other rows.
func (f *fsck) sweepOne(ctx context.Context, x FsckFinding, key store.Row) error {
	if f.o.Repair {
		n, err := f.v.sweepPage(ctx, []store.Row{key})
		if err != nil {
			return err
		}
		x.Repaired = n == 1
	}
	f.find(x)
	return nil
}

// scatteredTables finds a look-up of persons that the engine lost. A vault that
// serves made it anew when it was opened.
func (f *fsck) scatteredTables(ctx context.Context) error {
	engine, ok := f.v.values.(scattered)
	if !f.offline {
		return nil
	}
	if !ok || !engine.ScatteredLost() {
		return f.v.loadSettled(ctx)
	}
	x := FsckFinding{Kind: FsckLookupLost, Table: fsckStores[1] + " lookup"}
	if f.o.Repair {
		if err := f.v.rebuildLookup(ctx); err != nil {
			return err
		}
		x.Repaired = true
	}
	f.lookupLost = !x.Repaired
	f.find(x)
	return f.v.loadSettled(ctx)
}
