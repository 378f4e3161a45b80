package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cloakroom-vault/cloakroom/server/tlsfiles"
)

// Check looks whether the daemon could start with c, which came from Parse or
// Load, on this machine and as this user. It returns Problems: all of them,
// from wrong modes to expired certificates. To see whether a directory can be
// written, it makes a file in it and removes it.
func (c *Config) Check() error { return c.check(time.Now()) }

func (c *Config) check(now time.Time) error {
	var f findings
	f.directory(c.lines["directory"], "directory", c.Directory)
	c.checkAudit(&f)
	c.checkSinks(&f)
	c.checkTLS(&f, now)
	c.checkProviders(&f)
	c.checkBackups(&f)
	c.apart(&f, real) // a symbolic link may lead where the text does not show
	return f.err()
}

// checkAudit accepts a missing directory whose parent is there: the log makes
// it.
func (c *Config) checkAudit(f *findings) {
	line, dir := c.lines["audit.directory"], c.Audit.Directory
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		f.directory(line, "audit.directory", dir)
		return
	}
	if parent := filepath.Dir(dir); parent != c.Directory { // which was looked at
		f.directory(line, "audit.directory", parent)
	}
}

func (c *Config) checkTLS(f *findings, now time.Time) {
	names := map[tlsfiles.Role]string{
		tlsfiles.Certificate: "tls.certificate", tlsfiles.Key: "tls.key", tlsfiles.ClientCA: "tls.client_ca",
	}
	for _, fault := range tlsfiles.Check(c.TLS.Certificate, c.TLS.Key, c.TLS.ClientCA, now) {
		name := names[fault.Role]
		f.add(c.lines[name], name, "%s %v", fault.Path, fault.Err)
	}
}

// directory notes why a directory cannot hold data.
func (f *findings) directory(line int, key, path string) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.add(line, key, "%s does not exist", path)
		return
	case err != nil:
		f.add(line, key, "%v", err)
		return
	case !info.IsDir():
		f.add(line, key, "%s is not a directory", path)
		return
	case info.Mode().Perm()&0o022 != 0:
		f.add(line, key, "%s has mode %04o; group and others must not be able to write there", path, info.Mode().Perm())
		return
	}
	if err := tryWrite(path); err != nil {
		f.add(line, key, "%s cannot be written: %v", path, err)
	}
}

// tryWrite makes a file and removes it. Permission bits alone do not tell: the
// file system may be read-only or full, and root is stopped by no bits.
func tryWrite(dir string) error {
	file, err := os.CreateTemp(dir, ".check-*")
	if err != nil {
		return bare(err)
	}
	_, err = file.Write([]byte{0})
	return bare(errors.Join(err, file.Close(), os.Remove(file.Name())))
}

// bare drops the path of a temporary file, which says nothing to a reader.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// real resolves symbolic links as far as the path exists.
func real(path string) string {
	rest := ""
	for p := path; ; p = filepath.Dir(p) {
		if found, err := filepath.EvalSymlinks(p); err == nil {
			return filepath.Join(found, rest)
		}
		if p == filepath.Dir(p) {
			return path
		}
		rest = filepath.Join(filepath.Base(p), rest)
	}
}
