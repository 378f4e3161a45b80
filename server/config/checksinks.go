package config

import (
	"fmt"
	"path/filepath"

	"github.com/cloakroom-vault/cloakroom/server/sink/httppost"
	"github.com/cloakroom-vault/cloakroom/server/sink/jsonlines"
	"github.com/cloakroom-vault/cloakroom/server/sink/otlp"
	"github.com/cloakroom-vault/cloakroom/server/sink/webhook"
)

// checkSinks looks at the files that sinks and webhooks name. It connects to
// nothing: what is away now may be there later, and a sink waits for it.
func (c *Config) checkSinks(f *findings) {
	for i, s := range c.Audit.Sinks {
		at := fmt.Sprintf("audit.sinks[%d].", i)
		switch {
		case s.File != nil:
			key := at + "file.path"
			f.directory(c.lines[key], key, filepath.Dir(s.File.Path))
			c.checkFile(f, key, s.File.Path, jsonlines.Check)
			if inside(real(c.Audit.Directory), real(s.File.Path)) { // a link may lead where the text does not show
				f.add(c.lines[key], key, "must not be inside audit.directory, which is the log's own")
			}
		case s.Syslog != nil:
			c.checkFile(f, at+"syslog.ca", s.Syslog.CA, checkCA)
		case s.OTLP != nil:
			c.checkFile(f, at+"otlp.headers_file", s.OTLP.HeadersFile, otlp.CheckHeaders)
			c.checkFile(f, at+"otlp.ca", s.OTLP.CA, checkCA)
		}
	}
	for i, w := range c.Alarms.Webhooks {
		at := fmt.Sprintf("alarms.webhooks[%d].", i)
		c.checkFile(f, at+"secret_file", w.SecretFile, webhook.CheckSecret)
		c.checkFile(f, at+"ca", w.CA, checkCA)
	}
}

// checkFile leaves the rules to the package that reads the file, so that there
// is one set of them; an empty path is no file.
func (c *Config) checkFile(f *findings, key, path string, check func(string) error) {
	if path == "" {
		return
	}
	if err := check(path); err != nil {
		f.add(c.lines[key], key, "%v", err)
	}
}

func checkCA(path string) error {
	_, err := httppost.ReadCA(path)
	return err
}
