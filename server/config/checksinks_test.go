package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/server/config"
)

// sinksPlace is newPlace with sinks and webhooks, whose files are there.
func sinksPlace(t *testing.T) (file string) {
	t.Helper()
	file = newPlace(t)
	dir := filepath.Dir(file)
	c := config.Default()
	ca := filepath.Join("certs", "ca.crt")
	c.Audit.Sinks = []config.Sink{
		{Name: "lake", File: &config.FileSink{Path: filepath.Join("logs", "lake.jsonl")}},
		{Name: "siem", Syslog: &config.SyslogSink{Address: "tls://siem.example.org:6514", CA: ca}},
		{Name: "otel", OTLP: &config.OTLPSink{Endpoint: "https://otel.example.org", HeadersFile: "headers", CA: ca}},
	}
	c.Alarms.Webhooks = []config.Webhook{{Name: "duty", URL: "https://duty.example.org", SecretFile: "secret", CA: ca}}
	text, err := config.Example(c)
	must(t, errors.Join(err,
		os.WriteFile(file, text, 0o600),
		os.Mkdir(filepath.Join(dir, "logs"), 0o700),
		os.WriteFile(filepath.Join(dir, "headers"), []byte("Authorization: Bearer CANARY\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "secret"), []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"), 0o600),
	))
	return file
}

func TestCheckOfSinks(t *testing.T) {
	file := sinksPlace(t)
	c, err := config.Load(file)
	must(t, err)
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Join(filepath.Dir(file), "logs")); err != nil || len(left) != 0 {
		t.Errorf("%d files left by a check; %v", len(left), err)
	}
}

func TestCheckFindsInSinks(t *testing.T) {
	write := func(name, text string, mode os.FileMode) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, name)
			must(t, errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode)))
		}
	}
	gone := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Join(dir, name))) }
	}
	for name, test := range map[string]struct {
		change func(t *testing.T, dir string)
		path   string
		says   string
	}{
		"folder of a file is gone":      {gone("logs"), "audit.sinks[0].file.path", "does not exist"},
		"folder is open to the group":   {func(t *testing.T, dir string) { must(t, os.Chmod(filepath.Join(dir, "logs"), 0o770)) }, "audit.sinks[0].file.path", "0770"},
		"file is open to all":           {write("logs/lake.jsonl", "", 0o604), "audit.sinks[0].file.path", "0604"},
		"file is a link":                {func(t *testing.T, dir string) { must(t, os.Symlink("x", filepath.Join(dir, "logs", "lake.jsonl"))) }, "audit.sinks[0].file.path", "not a regular file"},
		"folder leads into the log":     {linked, "audit.sinks[0].file.path", "must not be inside audit.directory"},
		"headers are gone":              {gone("headers"), "audit.sinks[2].otlp.headers_file", "no such file"},
		"headers are open to the group": {write("headers", "A: CANARY", 0o640), "audit.sinks[2].otlp.headers_file", "0640"},
		"headers are no headers":        {write("headers", "CANARY", 0o600), "audit.sinks[2].otlp.headers_file", "line 1"},
		"secret is gone":                {gone("secret"), "alarms.webhooks[0].secret_file", "no such file"},
		"secret is open to all":         {write("secret", "CANARY", 0o644), "alarms.webhooks[0].secret_file", "0644"},
		"secret is no secret":           {write("secret", "CANARY", 0o600), "alarms.webhooks[0].secret_file", "whsec_"},
		"syslog authorities are a text": {write("certs/ca.crt", "CANARY", 0o600), "audit.sinks[1].syslog.ca", "no certificate"},
		"otlp authorities are gone":     {gone("certs/ca.crt"), "audit.sinks[2].otlp.ca", "no such file"},
		"webhook authorities are gone":  {gone("certs/ca.crt"), "alarms.webhooks[0].ca", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			file := sinksPlace(t)
			c, err := config.Load(file)
			must(t, err)
			test.change(t, filepath.Dir(file))
			var list config.Problems
			if err := c.Check(); !errors.As(err, &list) || strings.Contains(err.Error(), "CANARY") {
				t.Fatalf("err = %v, want Problems without content", err)
			}
			for _, p := range list {
				if p.Path == test.path && strings.Contains(p.Message, test.says) && p.Line > 0 {
					return
				}
			}
			t.Errorf("no problem of %s that says %q, with its line:\n%v", test.path, test.says, list)
		})
	}
}

// linked puts the folder of a sink's file into the audit log behind a link.
func linked(t *testing.T, dir string) {
	inner := filepath.Join(dir, "data", "audit", "logs")
	must(t, errors.Join(
		os.MkdirAll(inner, 0o700),
		os.Remove(filepath.Join(dir, "logs")),
		os.Symlink(inner, filepath.Join(dir, "logs")),
	))
}
