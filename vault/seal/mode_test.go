package seal_test

import (
	"crypto/fips140"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
)

// The mode of the process decides what new values are sealed in, and nothing
// else does.
func TestModeDecidesFormat(t *testing.T) {
	want := byte(chachaFormat)
	if fips140.Enabled() {
		want = gcmFormat
	}
	lock, person := outer(t), keys.NewSubjectKey()
	blob, err := seal.Seal(nil, lock, person.Expose(), &place, []byte("value"))
	if err != nil || blob[0] != want {
		t.Errorf("sealed in format %d, %v, want %d", blob[0], err, want)
	}
}

// A blob of one format is not passed off as another's, neither by its first
// byte alone nor by whoever holds the field's key and writes a new outer lock.
func TestFormatIsBound(t *testing.T) {
	eachFormat(t, func(t *testing.T, format byte) {
		lock, person := outer(t), keys.NewSubjectKey()
		blob := sealed(t, format, lock, person, &place, []byte("value"))
		inner, err := lock.Open(nil, blob[1:], associated(format, lockOuter, &place))
		if err != nil {
			t.Fatal(err)
		}
		other := chachaFormat + gcmFormat - format
		blob[0] = other
		if _, err := seal.Open(nil, lock, person.Expose(), &place, blob); !errors.Is(err, seal.ErrOuter) {
			t.Errorf("the first byte is changed: %v, want ErrOuter", err)
		}
		if _, err := seal.InnerHash(lock, &place, blob); !errors.Is(err, seal.ErrOuter) {
			t.Errorf("the first byte is changed, InnerHash: %v, want ErrOuter", err)
		}
		relocked := lock.Seal([]byte{other}, inner, associated(other, lockOuter, &place))
		if _, err := seal.Open(nil, lock, person.Expose(), &place, relocked); !errors.Is(err, seal.ErrInner) {
			t.Errorf("a new outer lock: %v, want ErrInner", err)
		}
		// The same cipher, but associated data of the other format.
		crossed := innerByHand(t, format, person.Expose(), append([]byte("0123456789"), 0x80, 0, 0, 0, 0, 0), associated(other, lockInner, &place))
		crossed = lock.Seal([]byte{format}, crossed, associated(format, lockOuter, &place))
		if _, err := seal.Open(nil, lock, person.Expose(), &place, crossed); !errors.Is(err, seal.ErrInner) || !errors.Is(err, keys.ErrWrongKey) {
			t.Errorf("an inner lock that names the other format: %v, want ErrInner and ErrWrongKey", err)
		}
	})
}

// The tests of this package hold in every mode, so each runs them all once
// more in a process of the other two.
func TestModes(t *testing.T) {
	const child = "CLOAKROOM_TEST_MODE"
	if os.Getenv(child) != "" {
		if mode := os.Getenv(child); fips140.Enabled() != (mode != "off") || fips140.Enforced() != (mode == "only") {
			t.Errorf("mode %s is not in force", mode)
		}
		return
	}
	for _, mode := range []string{"off", "on", "only"} {
		t.Run(mode, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.short", "-test.v")
			cmd.Env = append(os.Environ(), child+"="+mode, "GODEBUG=fips140="+mode)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			for _, name := range []string{"TestVectors", "TestTampered/format_2", "TestModes", "FuzzOpen"} {
				if !strings.Contains(string(out), "--- PASS: "+name) {
					t.Errorf("%s did not run", name)
				}
			}
		})
	}
}
