package daemon

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// keyRules puts what the configuration says about keys into the options of the
// vault.
func (n *Node) keyRules(o *vault.Options) {
	c := n.config
	o.Ages = vault.KeyAges(c.Keys.Rotate)
	o.AgeWarning = c.Keys.Warn
	o.RewrapRate = c.Keys.Rewrap.Rate
	o.BusyShare = c.Keys.Rewrap.Busy
	o.EpochLength = c.Epochs.Length
	o.ProbeEvery = c.KEK.Probe
	o.AwayLimit = max(c.KEK.AwayLimit, time.Nanosecond) // to the vault 0 means its own default
	if c.KEK.Next != nil {
		next := &nextKEK{node: n, provider: c.KEK.Next}
		n.closing(next.close)
		o.NextKEK = next.open
	}
}

// nextKEK is the KEK that a rewrap of the root goes over to. It is opened when
// it is needed, so that a service that is away keeps no vault from starting (a
// file must be there: the configuration is checked), and stays open after that,
// since the vault goes on with it.
type nextKEK struct {
	node     *Node
	provider *config.Provider

	mu   sync.Mutex
	kek  keys.KEK // nil: not opened
	done func() error
}

func (k *nextKEK) open(ctx context.Context) (keys.KEK, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kek != nil {
		return k.kek, nil
	}
	kek, done, err := k.node.providers.openKEK(ctx, k.provider)
	if err != nil {
		return nil, fmt.Errorf("open kek.next.%s: %w", k.provider.Kind(), err)
	}
	k.kek, k.done = kek, done
	return kek, nil
}

func (k *nextKEK) close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kek == nil {
		return nil
	}
	k.kek = nil
	return k.done()
}
