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
	top := r.section(n, "", "directory", "listen", "tls", "kek", "epochs", "audit", "alarms",
		"metrics", "reflection", "subject_key_cache", "log", "shutdown_grace")
	c.Directory = r.path(top, "directory", "the folder that holds the vault's files")
	c.Listen = r.address(top, "listen", c.Listen)

	tls := r.section(top.need("tls", "certificate, key and client_ca of the listener"), "tls", "certificate", "key", "client_ca")
	c.TLS.Certificate = r.path(tls, "certificate", "the path of a PEM file")
	c.TLS.Key = r.path(tls, "key", "the path of a PEM file")
	c.TLS.ClientCA = r.path(tls, "client_ca", "the path of a PEM file")

	kek := r.section(top.need("kek", "the key that protects all others"), "kek", "file")
	c.KEK.File = r.path(kek, "file", "the path of a key file")

	epochs := r.section(top.need("epochs", "the folder of the keys that erasure destroys"), "epochs", "directory")
	c.Epochs.Directory = r.path(epochs, "directory", "a folder outside every backup")

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

// apart notes keys that stand where a backup takes the data; real resolves
// each path first.
func (c *Config) apart(f *findings, real func(string) string) {
	for _, key := range []struct{ name, path string }{{"kek.file", c.KEK.File}, {"epochs.directory", c.Epochs.Directory}} {
		path := real(key.path)
		for _, data := range []struct{ name, path string }{{"directory", c.Directory}, {"audit.directory", c.Audit.Directory}} {
			if inside(real(data.path), path) {
				f.add(c.lines[key.name], key.name, "must not be inside %s: a backup would hold the keys beside what they protect", data.name)
				break
			}
		}
	}
}
