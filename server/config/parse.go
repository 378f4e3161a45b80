package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// Load reads a configuration file; relative paths start from its folder. A
// file with mistakes is Problems, wrapped with the path of the file.
func Load(path string) (*Config, error) {
	base, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	doc, err := io.ReadAll(io.LimitReader(f, MaxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c, err := Parse(doc, base)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Parse reads a configuration; relative paths start from base. On any mistake
// it returns Problems: all of them. It does not look at the file system.
func Parse(doc []byte, base string) (*Config, error) {
	var f findings
	top := f.document(doc)
	if top == nil {
		return nil, f.err()
	}
	c := Default()
	c.lines = map[string]int{}
	r := reader{findings: &f, base: base, c: c}
	r.all(top)
	if err := f.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// reader fills a Config that holds the defaults.
type reader struct {
	*findings
	base string
	c    *Config
}

func (r reader) all(n *yaml.Node) {
	c := r.c
	top := r.section(n, "", "directory", "listen", "tls", "kek", "epochs", "keys", "fips", "backup", "audit", "alarms",
		"metrics", "reflection", "subject_key_cache", "log", "shutdown_grace")
	c.Directory = r.path(top, "directory", "the folder that holds the vault's files")
	c.Listen = r.address(top, "listen", c.Listen)

	tls := r.section(top.need("tls", "certificate, key and client_ca of the listener"), "tls", "certificate", "key", "client_ca")
	c.TLS.Certificate = r.path(tls, "certificate", "the path of a PEM file")
	c.TLS.Key = r.path(tls, "key", "the path of a PEM file")
	c.TLS.ClientCA = r.path(tls, "client_ca", "the path of a PEM file")

	r.kek(top.need("kek", "the key that protects all others"))
	r.epochs(top.need("epochs", "where the keys are that erasure destroys"))
	r.keys(top.values["keys"])
	r.backup(top.values["backup"])
	c.FIPS = r.flag(top, "fips", c.FIPS)
	r.approved()

	r.audit(top.values["audit"])
	r.alarms(top.values["alarms"])
	r.metrics(top.values["metrics"])
	c.Reflection = r.flag(top, "reflection", c.Reflection)
	c.SubjectKeyCache = r.integer(top, "subject_key_cache", c.SubjectKeyCache, MinSubjectKeyCache, MaxSubjectKeyCache)

	log := r.section(top.values["log"], "log", "level", "format")
	c.Log.Level = choice(r, log, "level", c.Log.Level, levels, "debug, info, warn or error")
	c.Log.Format = choice(r, log, "format", c.Log.Format, map[string]Format{"text": Text, "json": JSON}, "text or json")

	c.ShutdownGrace = r.duration(top, "shutdown_grace", c.ShutdownGrace, 0, MaxShutdownGrace)

	c.apart(r.findings, func(path string) string { return path })
}
