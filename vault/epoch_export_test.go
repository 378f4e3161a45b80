package vault

import (
	"context"
	"time"
)

// AskEpochEnd asks for the end of the current epoch, as RotateKey does.
func (v *Vault) AskEpochEnd(ctx context.Context, c Caller) (uint32, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.beginEpochEnd(ctx, c, v.state.Load(), "T-1")
}

// EndEpoch does what is to be done about the end of an epoch.
func (v *Vault) EndEpoch(ctx context.Context) error { return v.endEpoch(ctx) }

// EpochList lists the epochs.
func (v *Vault) EpochList() []KeyVersion { return v.epochList() }

// CopiesExpire is what receipts say.
func (v *Vault) CopiesExpire() time.Time { return v.copiesExpire(v.now()) }

// CloseEpochs and OpenEpochs are what sealing and unsealing do.
func (v *Vault) CloseEpochs() { v.closeEpochs() }

// OpenEpochs undoes CloseEpochs.
func (v *Vault) OpenEpochs(ctx context.Context) error { return v.openEpochs(ctx) }

// Compact compacts, if that is due, and says whether it was.
func (v *Vault) Compact(ctx context.Context) (bool, error) { return v.compactDue(ctx) }

// KeyWork returns the board.
func (v *Vault) KeyWork() []KeyWork {
	work, _ := v.work.look()
	return work
}
