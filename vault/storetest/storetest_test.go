package storetest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/cloakroom-vault/cloakroom/vault/memstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemstore(t *testing.T) {
	storetest.Run(t, storetest.Engine{
		Open: func(testing.TB) store.Store { return memstore.New(storetest.Tables()) },
	})
}
