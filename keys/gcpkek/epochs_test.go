package gcpkek_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/grpc/codes"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/gcpkek"
)

const day = 24 * time.Hour

// epoch1 is an Epochs that has epoch 1.
func epoch1(t *testing.T, c *cloud, u *user) *gcpkek.Epochs {
	t.Helper()
	e := c.epochs(t, u, ring)
	if err := e.Create(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	return e
}

func (c *cloud) epochKey(t *testing.T) *cryptoKey {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.keys[ring+"/cryptoKeys/epoch-1"]
	if k == nil {
		t.Fatal("epoch 1 has no key")
	}
	return k
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestCreate(t *testing.T) {
	for _, test := range []struct {
		name        string
		given, want time.Duration
		hsm         bool
		level       kmspb.ProtectionLevel
	}{
		{"default", 0, day, false, kmspb.ProtectionLevel_SOFTWARE},
		{"longest, in hardware", 120 * day, 120 * day, true, kmspb.ProtectionLevel_HSM},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCloud(t)
			e := openEpochs(t, gcpkek.EpochOptions{
				KeyRing: ring, DestructionDelay: test.given, HSM: test.hsm, Labels: map[string]string{"team": "privacy"}, Access: c.access(c.user()),
			})
			wantErr(t, "Create", e.Create(t.Context(), 1), nil)
			k := c.epochKey(t).pb
			// Receipts find it by this method.
			delay := keys.EpochKEK(e).(interface{ DestructionDelay() time.Duration }).DestructionDelay()
			if d := e.Destruction(); d.Delay != delay || !d.Certain {
				t.Errorf("Destruction says %+v, DestructionDelay %v", d, delay)
			}
			if delay != test.want || k.GetDestroyScheduledDuration().AsDuration() != test.want {
				t.Errorf("says %v and asked for %v, want %v", delay, k.GetDestroyScheduledDuration().AsDuration(), test.want)
			}
			if k.GetVersionTemplate().GetProtectionLevel() != test.level || k.GetLabels()["team"] != "privacy" {
				t.Errorf("the key is %v", k)
			}
		})
	}
}

// An answer that is lost makes a call be repeated that was carried out.
func TestLostAnswers(t *testing.T) {
	for _, method := range []string{"CreateCryptoKey", "DestroyCryptoKeyVersion"} {
		t.Run(method, func(t *testing.T) {
			c := newCloud(t)
			u := c.user()
			lost := false
			c.set(func() {
				u.lose = func(got string) bool {
					first := got == method && !lost
					lost = lost || first
					return first
				}
			})
			e := epoch1(t, c, u)
			wantErr(t, "Destroy", e.Destroy(t.Context(), 1), nil)
			if c.count(u, method) != 2 {
				t.Error("nothing was repeated")
			}
		})
	}
}

func TestDestroy(t *testing.T) {
	c := newCloud(t)
	e := epoch1(t, c, c.user())
	blob, err := e.Wrap(t.Context(), 1, []byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, "Destroy", e.Destroy(t.Context(), 1), nil)
	for _, state := range []kmspb.CryptoKeyVersion_CryptoKeyVersionState{
		kmspb.CryptoKeyVersion_DESTROY_SCHEDULED, kmspb.CryptoKeyVersion_DESTROYED,
	} {
		c.set(func() { c.keys[ring+"/cryptoKeys/epoch-1"].versions[0].pb.State = state })
		again := c.epochs(t, c.user(), ring)
		_, err := again.Wrap(t.Context(), 1, nil, nil)
		wantErr(t, "Wrap", err, keys.ErrDestroyed)
		_, err = again.Unwrap(t.Context(), 1, blob, nil)
		wantErr(t, "Unwrap", err, keys.ErrDestroyed)
		wantErr(t, "Create", again.Create(t.Context(), 1), keys.ErrDestroyed)
		wantErr(t, "Destroy", again.Destroy(t.Context(), 1), nil)
	}
}

// A version that somebody adds wraps nothing, so that Destroy reaches all.
func TestOtherVersions(t *testing.T) {
	c := newCloud(t)
	e := epoch1(t, c, c.user())
	c.set(func() { c.keys[ring+"/cryptoKeys/epoch-1"].add() })
	blob, err := e.Wrap(t.Context(), 1, []byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, "Destroy", e.Destroy(t.Context(), 1), nil)
	again := c.epochs(t, c.user(), ring)
	_, err = again.Unwrap(t.Context(), 1, blob, nil)
	wantErr(t, "Unwrap", err, keys.ErrDestroyed)
	_, err = again.Wrap(t.Context(), 1, nil, nil)
	wantErr(t, "Wrap", err, keys.ErrDestroyed)
}

// A process that destroyed an epoch refuses it whatever the service shows yet,
// and an answer that was under way does not come through.
func TestDestroyedAtOnce(t *testing.T) {
	c := newCloud(t)
	u := c.user()
	e := epoch1(t, c, u)
	blob, err := e.Wrap(t.Context(), 1, []byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	restore := func() { c.keys[ring+"/cryptoKeys/epoch-1"].versions[0].pb.State = kmspb.CryptoKeyVersion_ENABLED }
	for _, test := range []struct {
		name string
		call func() ([]byte, error)
	}{
		{"Wrap", func() ([]byte, error) { return e.Wrap(t.Context(), 1, []byte("plain"), nil) }},
		{"Unwrap", func() ([]byte, error) { return e.Unwrap(t.Context(), 1, blob, nil) }},
	} {
		e = c.epochs(t, u, ring)
		c.set(func() {
			restore()
			u.tamper = func(string, any) {
				u.tamper = nil
				c.mu.Unlock()
				defer c.mu.Lock()
				wantErr(t, "Destroy", e.Destroy(t.Context(), 1), nil)
			}
		})
		if out, err := test.call(); !errors.Is(err, keys.ErrDestroyed) || out != nil {
			t.Errorf("%s under way: %d bytes, %v", test.name, len(out), err)
		}
		c.set(restore)
		_, err := test.call()
		wantErr(t, test.name+" later", err, keys.ErrDestroyed)
		// Destroy itself believes the service alone.
		wantErr(t, "Destroy", e.Destroy(t.Context(), 1), nil)
		if s := c.epochKey(t).versions[0].pb.GetState(); s != kmspb.CryptoKeyVersion_DESTROY_SCHEDULED {
			t.Errorf("a version that was restored was not destroyed again: %s", s)
		}
	}
}

// An answer that does not say so is no proof.
func TestDestroyWantsProof(t *testing.T) {
	c := newCloud(t)
	u := c.user()
	e := epoch1(t, c, u)
	c.set(func() {
		u.tamper = func(_ string, a any) {
			if v, ok := a.(*kmspb.CryptoKeyVersion); ok {
				v.State = kmspb.CryptoKeyVersion_ENABLED
			}
		}
	})
	wantErr(t, "Destroy", e.Destroy(t.Context(), 1), keys.ErrAway)
	c.set(func() {
		u.tamper = nil
		c.keys[ring+"/cryptoKeys/epoch-1"].versions[0].pb.State = kmspb.CryptoKeyVersion_PENDING_GENERATION
	})
	wantErr(t, "Destroy", e.Destroy(t.Context(), 1), keys.ErrAway)
}

func TestEpochStates(t *testing.T) {
	c := newCloud(t)
	e := epoch1(t, c, c.user())
	c.set(func() { c.keys[ring+"/cryptoKeys/epoch-1"].versions[0].pb.State = kmspb.CryptoKeyVersion_DISABLED })
	_, err := e.Wrap(t.Context(), 1, nil, nil)
	wantErr(t, "Wrap", err, keys.ErrDisabled)
	wantErr(t, "Create", e.Create(t.Context(), 1), keys.ErrExists)
	wantErr(t, "Destroy", e.Destroy(t.Context(), 1), nil)
	wantErr(t, "Create", e.Create(t.Context(), 1), keys.ErrDestroyed)
}

func TestDestroyDenied(t *testing.T) {
	c := newCloud(t)
	u := c.user()
	e := epoch1(t, c, u)
	c.refuse(u, codes.PermissionDenied)
	wantErr(t, "Destroy", e.Destroy(t.Context(), 1), keys.ErrDenied)
	c.refuse(u, codes.OK)
	_, err := e.Wrap(t.Context(), 1, nil, nil)
	wantErr(t, "Wrap", err, nil)
}

func TestOptions(t *testing.T) {
	c := newCloud(t)
	for _, test := range []struct {
		name, key string
		change    func(*gcpkek.Access)
		want      error
	}{
		{"good", ring + "/cryptoKeys/root", nil, nil},
		{"a project of a domain", "projects/example.com:p/locations/global/keyRings/r/cryptoKeys/k", nil, nil},
		{"empty", "", nil, keys.ErrUsage},
		{"a ring", ring, nil, keys.ErrUsage},
		{"a version", ring + "/cryptoKeys/root/cryptoKeyVersions/1", nil, keys.ErrUsage},
		{"a line too many", ring + "/cryptoKeys/root\n", nil, keys.ErrUsage},
		{"something before", "/" + ring + "/cryptoKeys/root", nil, keys.ErrUsage},
		{"too long", "projects/p/locations/x/keyRings/" + strings.Repeat("r", 63) + "/cryptoKeys/" + strings.Repeat("k", 64), nil, keys.ErrUsage},
		{"a negative timeout", ring + "/cryptoKeys/root", func(a *gcpkek.Access) { a.Timeout = -1 }, keys.ErrUsage},
		{"negative attempts", ring + "/cryptoKeys/root", func(a *gcpkek.Access) { a.Attempts = -1 }, keys.ErrUsage},
		{"no credentials", ring + "/cryptoKeys/root", func(a *gcpkek.Access) { a.Client = nil }, keys.ErrUsage},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/does/not/exist")
			access := c.access(c.user())
			if test.change != nil {
				test.change(&access)
			}
			kek, err := gcpkek.Open(t.Context(), gcpkek.Options{KeyName: test.key, Access: access})
			if !errors.Is(err, test.want) || (kek != nil) != (test.want == nil) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if kek != nil {
				if kek.Name() != "gcp-kms/"+test.key {
					t.Errorf("named %q", kek.Name())
				}
				wantErr(t, "Close", kek.Close(), nil)
			}
		})
	}
}

func TestEpochOptions(t *testing.T) {
	c := newCloud(t)
	for _, test := range []struct {
		name   string
		change func(*gcpkek.EpochOptions)
		want   error
	}{
		{"good", func(*gcpkek.EpochOptions) {}, nil},
		{"no ring", func(o *gcpkek.EpochOptions) { o.KeyRing = "" }, keys.ErrUsage},
		{"a key", func(o *gcpkek.EpochOptions) { o.KeyRing += "/cryptoKeys/k" }, keys.ErrUsage},
		{"23 hours", func(o *gcpkek.EpochOptions) { o.DestructionDelay = 23 * time.Hour }, keys.ErrUsage},
		{"121 days", func(o *gcpkek.EpochOptions) { o.DestructionDelay = 121 * day }, keys.ErrUsage},
		{"half a second", func(o *gcpkek.EpochOptions) { o.DestructionDelay = day + time.Second/2 }, keys.ErrUsage},
		{"a label of the package", func(o *gcpkek.EpochOptions) { o.Labels = map[string]string{"cloakroom-made": "x"} }, keys.ErrUsage},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := gcpkek.EpochOptions{KeyRing: ring, Access: c.access(c.user())}
			test.change(&o)
			e, err := gcpkek.OpenEpochs(t.Context(), o)
			if !errors.Is(err, test.want) || (e != nil) != (test.want == nil) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if e != nil {
				wantErr(t, "Close", e.Close(), nil)
			}
		})
	}
}
