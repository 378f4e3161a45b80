package config_test

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cloakroom-vault/cloakroom/server/config"
)

var update = flag.Bool("update", false, "write the problems found in testdata/bad beside the files")

var exported = cmpopts.IgnoreUnexported(config.Config{})

const small = `directory: data
tls: {certificate: certs/server.crt, key: certs/server.key, client_ca: certs/ca.crt}
kek: {file: kek/kek.key}
epochs: {directory: epochs}
`

const day = 24 * time.Hour

var defaultKeys = config.Keys{
	Rotate: config.Rotate{Fields: 365 * day, Rows: 365 * day, Root: 365 * day},
	Warn:   14 * day, Rewrap: config.Rewrap{Busy: 10},
}

func TestDefaults(t *testing.T) {
	got, err := config.Parse([]byte(small), "/srv/cloakroom")
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		Directory:       "/srv/cloakroom/data",
		Listen:          "127.0.0.1:7411",
		TLS:             config.TLS{Certificate: "/srv/cloakroom/certs/server.crt", Key: "/srv/cloakroom/certs/server.key", ClientCA: "/srv/cloakroom/certs/ca.crt"},
		KEK:             config.KEK{Provider: config.Provider{File: "/srv/cloakroom/kek/kek.key"}, Probe: 10 * time.Second, AwayLimit: time.Hour},
		Epochs:          config.Epochs{EpochProvider: config.EpochProvider{Directory: "/srv/cloakroom/epochs"}, Length: 7 * day},
		Keys:            defaultKeys,
		Audit:           config.Audit{Directory: "/srv/cloakroom/data/audit"},
		Alarms:          defaultAlarms,
		SubjectKeyCache: 100_000,
		Log:             config.Log{Level: slog.LevelInfo, Format: config.Text},
		ShutdownGrace:   10 * time.Second,
	}
	if diff := cmp.Diff(want, got, exported); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// everyKey has a value other than the default for each key.
const everyKey = `
directory: /var/lib/cloakroom/
listen: "[::]:0"
tls:
  certificate: ../tls/a.crt
  key: /run/secrets/a.key
  client_ca: tls//b.crt
kek:
  file: /etc/cloakroom/kek.key
  next: {credential: kek.2}
  probe: 1s
  away_limit: 0
epochs:
  directory: /var/lib/cloakroom-epochs
  length: 36h
keys:
  rotate: {fields: 1d, domains: 48h, rows: 3650d, audit: 0, root: 0}
  warn: 0
  rewrap: {rate: 5000, busy: 100}
fips: true
backup:
  values: {directory: /backup/values, keep: 3650d, kek: {file: backup.key}}
  keys: {directory: /backup/keys, kek: {file: backup.key}}
  every: 36h
audit:
  directory: /var/log/cloakroom
  retention: 730d
  sinks:
    - name: lake
      file: {path: lake.jsonl}
    - {name: siem, syslog: {address: "tls://[::1]:6514", ca: siem.crt}}
    - {name: local, syslog: {address: "unix:/dev/log"}}
    - {name: otel-1, otlp: {endpoint: "https://otel.example.org/x", headers_file: otel.headers, ca: otel.crt}}
    - {name: otel-2, otlp: {endpoint: "http://127.0.0.1:4318"}}
alarms:
  webhooks:
    - {name: duty, url: "https://duty.example.org/hook?a=b", secret_file: duty.secret, ca: /duty.crt}
    - {name: lake, url: "http://localhost:1", secret_file: /run/secrets/lake}
  unknown_tokens: {count: 1, within: 1s}
  refusals: {count: 1000}
  persons: {factor: 2.5}
  hours:
    - {principals: ["spiffe://x/office/*", "*", "dns:a"], days: [fri..mon, wed], from: "22:00", to: "06:30", zone: Europe/Madrid}
    - {principals: [a], days: [sun], from: 00:00, to: 24:00}
metrics: {listen: "0.0.0.0:9411", insecure: true}
reflection: true
subject_key_cache: 1000
log:
  level: debug
  format: json
shutdown_grace: 5m
`

func TestEveryKey(t *testing.T) {
	got, err := config.Parse([]byte(everyKey), "/etc/cloakroom")
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		Directory: "/var/lib/cloakroom",
		Listen:    "[::]:0",
		TLS:       config.TLS{Certificate: "/etc/tls/a.crt", Key: "/run/secrets/a.key", ClientCA: "/etc/cloakroom/tls/b.crt"},
		KEK:       config.KEK{Provider: config.Provider{File: "/etc/cloakroom/kek.key"}, Next: &config.Provider{Credential: "kek.2"}, Probe: time.Second},
		Epochs:    config.Epochs{EpochProvider: config.EpochProvider{Directory: "/var/lib/cloakroom-epochs"}, Length: 36 * time.Hour}, // beside the directory, though its name begins alike
		Keys:      config.Keys{Rotate: config.Rotate{Fields: day, Domains: 2 * day, Rows: 3650 * day}, Rewrap: config.Rewrap{Rate: 5000, Busy: 100}},
		FIPS:      true,
		Backup: &config.Backup{
			Values: config.BackupPart{Directory: "/backup/values", Keep: 3650 * day, KEK: config.Provider{File: "/etc/cloakroom/backup.key"}},
			Keys:   config.BackupPart{Directory: "/backup/keys", Keep: 7 * day, KEK: config.Provider{File: "/etc/cloakroom/backup.key"}},
			Every:  36 * time.Hour,
		},
		Audit: config.Audit{Directory: "/var/log/cloakroom", Retention: 730, Sinks: []config.Sink{
			{Name: "lake", File: &config.FileSink{Path: "/etc/cloakroom/lake.jsonl"}},
			{Name: "siem", Syslog: &config.SyslogSink{Address: "tls://[::1]:6514", CA: "/etc/cloakroom/siem.crt"}},
			{Name: "local", Syslog: &config.SyslogSink{Address: "unix:/dev/log"}},
			{Name: "otel-1", OTLP: &config.OTLPSink{Endpoint: "https://otel.example.org/x", HeadersFile: "/etc/cloakroom/otel.headers", CA: "/etc/cloakroom/otel.crt"}},
			{Name: "otel-2", OTLP: &config.OTLPSink{Endpoint: "http://127.0.0.1:4318"}},
		}},
		Alarms: config.Alarms{
			Webhooks: []config.Webhook{
				{Name: "duty", URL: "https://duty.example.org/hook?a=b", SecretFile: "/etc/cloakroom/duty.secret", CA: "/duty.crt"},
				{Name: "lake", URL: "http://localhost:1", SecretFile: "/run/secrets/lake"},
			},
			UnknownTokens: config.Series{Count: 1, Within: time.Second},
			Refusals:      config.Series{Count: 1000, Within: 5 * time.Minute},
			Persons:       config.Persons{Floor: 100, Factor: 2.5},
			Hours: []config.Hours{
				{Principals: []string{"spiffe://x/office/*", "*", "dns:a"}, Days: []time.Weekday{5, 6, 0, 1, 3}, From: 22 * time.Hour, To: 6*time.Hour + 30*time.Minute, Zone: "Europe/Madrid"},
				{Principals: []string{"a"}, Days: []time.Weekday{0}, From: 0, To: 24 * time.Hour, Zone: "UTC"},
			},
		},
		Metrics:         &config.Metrics{Listen: "0.0.0.0:9411", Insecure: true},
		Reflection:      true,
		SubjectKeyCache: 1000,
		Log:             config.Log{Level: slog.LevelDebug, Format: config.JSON},
		ShutdownGrace:   5 * time.Minute,
	}
	if diff := cmp.Diff(want, got, exported); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

var defaultAlarms = config.Alarms{
	UnknownTokens: config.Series{Count: 20, Within: 5 * time.Minute},
	Refusals:      config.Series{Count: 50, Within: 5 * time.Minute},
	Persons:       config.Persons{Floor: 100, Factor: 10},
}

func TestListen(t *testing.T) {
	for _, address := range []string{"127.0.0.1:7411", "localhost:65535", "0.0.0.0:1", "[::1]:7411", "[fe80::1%eth0]:7411", "vault-1.example.org:7411"} {
		c, err := config.Parse([]byte(small+"listen: '"+address+"'\n"), "/")
		if err != nil {
			t.Errorf("%s: %v", address, err)
		} else if c.Listen != address {
			t.Errorf("%s became %s", address, c.Listen)
		}
	}
}

func TestSize(t *testing.T) {
	fits := small + "#" + strings.Repeat("x", config.MaxDocument-len(small)-1)
	if _, err := config.Parse([]byte(fits), "/"); err != nil {
		t.Errorf("a file of MaxDocument bytes: %v", err)
	}
	if got := problems(t, []byte(fits+"x")); len(got) != 1 || !strings.Contains(got[0].Message, "65536 bytes") {
		t.Errorf("a file of one byte more: %v", got)
	}
}

// Every file of testdata/bad has mistakes; the problems expected stand beside
// it, one a line.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			var b strings.Builder
			for _, p := range problems(t, read(t, file)) {
				fmt.Fprintln(&b, p)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(read(t, golden)), b.String()); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// problems returns the problems of a file that must have some.
func problems(t *testing.T, doc []byte) config.Problems {
	t.Helper()
	c, err := config.Parse(doc, "/srv/cloakroom")
	var list config.Problems
	if c != nil || !errors.As(err, &list) || len(list) == 0 {
		t.Fatalf("a file with mistakes was accepted, or refused without Problems: %v", err)
	}
	last, lines := 1, 1
	for _, c := range string(doc) {
		if strings.ContainsRune("\n\r\u0085\u2028\u2029", c) { // all end a line in YAML
			lines++
		}
	}
	for _, p := range list {
		if p.Line < last || p.Line > lines || p.Message == "" {
			t.Errorf("not in the order of a file of %d lines: %v", lines, p)
		}
		last = p.Line
		if !strings.Contains(err.Error(), p.String()) {
			t.Errorf("the error leaves out: %v", p)
		}
		if strings.Contains(p.String(), "CANARY") {
			t.Errorf("a problem repeats what was written: %v", p)
		}
	}
	return list
}

func TestProblemsAreBounded(t *testing.T) {
	list := problems(t, []byte(small+strings.Repeat("? x\n", 5000)))
	if n := len(list); n != 101 || list[n-1].Message != "and 4900 more mistakes" {
		t.Errorf("%d problems, the last: %v", n, list[n-1])
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "cloakroomd.yaml")
	if err := os.WriteFile(file, []byte(small), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(dir))
	for _, name := range []string{file, filepath.Join(filepath.Base(dir), "cloakroomd.yaml")} {
		c, err := config.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(dir, "data"); c.Directory != want {
			t.Errorf("from %s: directory %s, want %s", name, c.Directory, want)
		}
	}
	if _, err := config.Load(filepath.Join(dir, "none.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: err = %v", err)
	}
	if err := os.WriteFile(file, []byte("x: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load(file)
	if list := (config.Problems)(nil); !errors.As(err, &list) || !strings.Contains(err.Error(), file) {
		t.Errorf("a file with mistakes: %v; want Problems and the path of the file", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(everyKey))
	for _, kek := range providers {
		f.Add([]byte(strings.Replace(small, "{file: kek/kek.key}", kek.text, 1)))
	}
	for _, epochs := range epochProviders {
		f.Add([]byte(strings.Replace(small, "{directory: epochs}", epochs.text, 1)))
	}
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	for _, file := range files {
		doc, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		c, err := config.Parse(doc, "/srv")
		if err != nil {
			problems(t, doc)
			return
		}
		paths := []string{c.Directory, c.TLS.Certificate, c.TLS.Key, c.TLS.ClientCA, c.Audit.Directory}
		if c.KEK.File != "" {
			paths = append(paths, c.KEK.File)
		}
		if c.Epochs.Directory != "" {
			paths = append(paths, c.Epochs.Directory)
		}
		for _, s := range c.Audit.Sinks {
			if s.File != nil {
				paths = append(paths, s.File.Path)
			}
		}
		for _, w := range c.Alarms.Webhooks {
			paths = append(paths, w.SecretFile)
		}
		for _, path := range paths {
			if !filepath.IsAbs(path) || filepath.Clean(path) != path {
				t.Errorf("an accepted path is not absolute and clean")
			}
		}
		text, err := config.Example(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := config.Parse(text, "/elsewhere")
		if err != nil {
			t.Fatalf("what was accepted does not survive being written: %v", err)
		}
		if diff := cmp.Diff(c, again, exported); diff != "" {
			t.Errorf("written and read again (-first +second):\n%s", diff)
		}
	})
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
