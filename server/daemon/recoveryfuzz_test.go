package daemon_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys/recovery"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
)

// FuzzShareFile: people write shares' files by hand. What is read holds the
// share in a line of its own, and what is refused shows no character of it.
func FuzzShareFile(f *testing.F) {
	_, shares, err := recovery.Split([16]byte{1}, 3, 2)
	if err != nil {
		f.Fatal(err)
	}
	share := shares[1].Expose()
	for _, text := range []string{
		share, "# for Ada\n\n" + share + "\n", "\ufeff  " + strings.ToUpper(share) + "\r\n", share + "\n" + share,
		share[:60] + "\n" + share[60:], "#" + share, share + " #", "", "\x00",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := daemon.ParseShareText(text)
		if err == nil {
			if !strings.Contains(strings.ToLower(text), s.Expose()) {
				t.Error("the share that was read is not in the text")
			}
			return
		}
		if !errors.Is(err, daemon.ErrShareFile) {
			t.Errorf("another error: %v", err)
		}
		if body := share[len(share)-40:]; strings.Contains(err.Error(), body) {
			t.Error("the error shows a share")
		}
	})
}
