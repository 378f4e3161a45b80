package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cloakroom-vault/cloakroom/vault/audit/index"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// indexName is the index of the audit log. It can be deleted while nobody
// serves the directory: it is built again from the log.
const indexName = "index.db"

// IndexPath returns where the index of the audit log stands.
func (n *Node) IndexPath() string { return filepath.Join(n.config.Directory, indexName) }

// AuditDirectory returns where the audit log stands.
func (n *Node) AuditDirectory() string { return n.config.Audit.Directory }

// openIndex opens the store of the index. A damaged one is thrown away: all of
// it stands in the log.
func (n *Node) openIndex() (store.Store, error) {
	open := func() (*boltstore.Store, error) {
		return boltstore.Open(boltstore.Options{Path: n.IndexPath(), Tables: index.Tables(), Logger: n.logger})
	}
	s, err := open()
	if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrFormat) {
		n.logger.Warn("the index of the audit log is damaged and is built again", "error", err)
		if err := os.Remove(n.IndexPath()); err != nil {
			return nil, err
		}
		s, err = open()
	}
	if err != nil {
		return nil, fmt.Errorf("open the index of the audit log: %w", err)
	}
	n.closing(s.Close)
	n.index = s
	return s, nil
}
