//go:build cgo && !nopkcs11

package pkcs11kek_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/pkcs11kek"
)

// A library that hangs holds no more calls than it may.
func TestHangs(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	cfg.Sessions = 2
	kek, h := fresh(t, cfg)
	arrived, restore := h.hold()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	for range 5 {
		go func() {
			_, err := kek.Wrap(ctx, nil, nil)
			done <- err
		}()
	}
	<-arrived
	<-arrived
	cancel()
	for range 5 {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want Canceled", err)
		}
	}
	select {
	case <-arrived:
		t.Error("more calls are in the library than it may hold")
	default:
	}
	restore()
	works(t, kek)
}

// Nobody waits longer than the limit, neither for an answer nor for a turn.
func TestTimeout(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	cfg.Sessions, cfg.Timeout = 1, time.Second // long enough to open the token on a busy machine
	tok, h := openHooked(t, cfg)
	_, restore := h.hold()
	defer restore()
	for _, says := range []string{"no answer within 1s", "all 1 calls"} {
		_, err := tok.KEK(t.Context(), pkcs11kek.KeyRef{Label: "any"})
		if !errors.Is(err, keys.ErrAway) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want ErrAway that says %q", err, says)
		}
	}
}

// The caller may use its buffers again once a call is given up, though the
// library may still read what it was given.
func TestGivenUpCallOwnsItsBytes(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	kek, h := fresh(t, cfg)
	arrived, restore := h.hold()
	ctx, cancel := context.WithCancel(t.Context())
	plaintext, aad := bytes.Repeat([]byte("x"), 4096), bytes.Repeat([]byte("y"), 4096)
	done := make(chan error, 1)
	go func() {
		_, err := kek.Wrap(ctx, plaintext, aad)
		done <- err
	}()
	<-arrived
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
	restore()
	clear(plaintext) // the race detector sees a reader
	clear(aad)
	works(t, kek)
}

// A plaintext that nobody waits for any more is cleared.
func TestGivenUpCallClears(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	cfg.Sessions = 1 // so that a call begins when the one before has ended wholly
	h, seen := &hooks{}, &pkcs11kek.Seen{}
	tok, err := pkcs11kek.OpenSeen(t.Context(), cfg, h.call, seen)
	if err != nil {
		t.Fatal(err)
	}
	defer tok.Close()
	kek := newKEK(t, tok, t.Name())
	blob, err := kek.Wrap(t.Context(), []byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func(ctx context.Context) error{
		"Wrap":   func(ctx context.Context) error { _, err := kek.Wrap(ctx, []byte("plain"), nil); return err },
		"Unwrap": func(ctx context.Context) error { _, err := kek.Unwrap(ctx, blob, nil); return err },
	} {
		t.Run(name, func(t *testing.T) {
			arrived, release := make(chan struct{}), make(chan struct{})
			restore := h.set(func(function string) error {
				if function == "C_Encrypt" || function == "C_Decrypt" {
					close(arrived)
					<-release
				}
				return nil
			})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- call(ctx) }()
			<-arrived
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want Canceled", err)
			}
			restore()
			close(release)
			if _, err := tok.KEK(t.Context(), pkcs11kek.KeyRef{Label: "TestGivenUpCallClears"}); err != nil {
				t.Fatal(err)
			}
		})
	}
	buffers := seen.Buffers()
	if len(buffers) != 3 {
		t.Fatalf("%d buffers, want one of each call", len(buffers))
	}
	for _, b := range buffers {
		if len(b) != 5 || !bytes.Equal(b, make([]byte, 5)) {
			t.Error("a plaintext is still there")
		}
	}
}

// A session that the library complained about may have an operation half done,
// and is not used again; any other is.
func TestSessionsAreKept(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	kek, h := fresh(t, cfg)
	blob, err := kek.Wrap(t.Context(), []byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		answer error
		aad    string
		want   error
		opened int32
	}{
		{"no trouble", nil, "", nil, 0},
		{"wrong place", nil, "elsewhere", keys.ErrWrongKey, 0},
		{"trouble", pkcs11.Error(pkcs11.CKR_DEVICE_MEMORY), "", keys.ErrAway, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var opened atomic.Int32
			first := once("C_Decrypt", tt.answer)
			defer h.set(func(function string) error {
				if function == "C_OpenSession" {
					opened.Add(1)
				}
				return first(function)
			})()
			if _, err := kek.Unwrap(t.Context(), blob, []byte(tt.aad)); !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			works(t, kek)
			if opened.Load() != tt.opened {
				t.Errorf("%d sessions were opened, want %d", opened.Load(), tt.opened)
			}
		})
	}
}
