package daemon_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// openAgain opens a directory and closes it.
func openAgain(t *testing.T, c *config.Config) error {
	t.Helper()
	n, err := daemon.Open(t.Context(), c, quiet)
	if err != nil {
		return err
	}
	if err := n.Vault.Healthy(); err != nil {
		t.Error(err)
	}
	if _, err := n.Vault.GetPolicy(t.Context(), vault.Caller{Principal: admin, Request: "r-1"}, 0); err != nil {
		t.Error(err)
	}
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		if covered, size := n.Vault.IndexCovered(); covered == size && size > 0 {
			break
		}
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
	}
	return n.Close()
}

// TestDerivedFiles: what is derived from the log is made again when it is lost
// or damaged, and never keeps the vault from serving.
func TestDerivedFiles(t *testing.T) {
	defer goleak.VerifyNone(t)
	for name, spoil := range map[string]func(t *testing.T, path string){
		"lost": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
		"damaged": func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("this is no such file, whatever it says"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		for _, file := range []string{"index.db", "alarms.json"} {
			t.Run(file+" "+name, func(t *testing.T) {
				c := initialised(t)
				if err := openAgain(t, c); err != nil {
					t.Fatal(err)
				}
				spoil(t, filepath.Join(c.Directory, file))
				if err := openAgain(t, c); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// TestNewerAlarms: a state that a newer version wrote is not thrown away.
func TestNewerAlarms(t *testing.T) {
	defer goleak.VerifyNone(t)
	c := initialised(t)
	path := filepath.Join(c.Directory, "alarms.json")
	newer := []byte(`{"format":99}`)
	if err := os.WriteFile(path, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := openAgain(t, c); err == nil {
		t.Error("opened with a state of a newer version")
	}
	if kept, err := os.ReadFile(path); err != nil || string(kept) != string(newer) {
		t.Errorf("the state is now %s, %v", kept, err)
	}
}

// TestEverySink opens each kind of sink, with nobody at the other side: none of
// them keeps the vault from serving or from closing.
func TestEverySink(t *testing.T) {
	defer goleak.VerifyNone(t)
	c := initialised(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	lines := filepath.Join(t.TempDir(), "lines")
	c.Audit.Sinks = []config.Sink{
		{Name: "lines", File: &config.FileSink{Path: lines}},
		{Name: "siem", Syslog: &config.SyslogSink{Address: "tcp://" + nobody}},
		{Name: "collector", OTLP: &config.OTLPSink{Endpoint: "http://" + nobody}},
	}
	c.Metrics = &config.Metrics{Listen: "127.0.0.1:0"}
	c.Audit.Retention = config.MinRetention
	if err := openAgain(t, c); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(lines); err != nil || len(text) == 0 {
		t.Errorf("the file has %d bytes, %v", len(text), err)
	}
}
