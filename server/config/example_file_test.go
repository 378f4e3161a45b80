package config_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/cloakroom-vault/cloakroom/server/config"
)

func TestExampleOfTheDefaults(t *testing.T) {
	text, err := config.Example(config.Default())
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Parse(text, "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Default(), got, exported); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Every key has its comment: an unexplained knob is not a shipped one.
	commented := false
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
			commented = true
		case line == "":
			commented = false
		case !strings.HasPrefix(line, " ") && !commented && line != "log:":
			t.Errorf("line %d has no comment above it: %s", i+1, line)
		}
	}
}

// Whatever paths and numbers a configuration has, its example gives it back.
func TestExampleRoundTrip(t *testing.T) {
	part := rapid.StringMatching(`[a-z #:'"\\{}\[\],&*!|>%@\x60é漢-]{1,12}`).Filter(func(s string) bool {
		return !strings.ContainsFunc(s, unicode.IsControl)
	})
	path := func(root string) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string { return filepath.Join(root, part.Draw(t, "part"), part.Draw(t, "part")) })
	}
	odd := rapid.SampledFrom([]string{"true", "null", "7", "1.5", "2026-01-01", "0x10", ".inf", "yes", "<<", "-"})
	rapid.Check(t, func(t *rapid.T) {
		c := config.Default()
		c.Directory = rapid.OneOf(path("/data"), odd).Draw(t, "directory")
		c.Audit.Directory = path("/audit").Draw(t, "audit")
		c.TLS = config.TLS{Certificate: path("/tls").Draw(t, "certificate"), Key: path("tls").Draw(t, "key"), ClientCA: odd.Draw(t, "ca")}
		c.KEK.File = path("/kek").Draw(t, "kek")
		c.Epochs.Directory = path("/epochs").Draw(t, "epochs")
		c.Listen = rapid.SampledFrom([]string{"127.0.0.1:7411", "[::]:0", "localhost:1"}).Draw(t, "listen")
		c.Reflection = rapid.Bool().Draw(t, "reflection")
		c.SubjectKeyCache = rapid.IntRange(config.MinSubjectKeyCache, config.MaxSubjectKeyCache).Draw(t, "cache")
		c.Log.Level = rapid.SampledFrom([]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}).Draw(t, "level")
		c.Log.Format = rapid.SampledFrom([]config.Format{config.Text, config.JSON}).Draw(t, "format")
		c.ShutdownGrace = time.Duration(rapid.Int64Range(0, int64(config.MaxShutdownGrace)).Draw(t, "grace"))
		text, err := config.Example(c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := config.Parse(text, "")
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(c, got, exported); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
