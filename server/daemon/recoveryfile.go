package daemon

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys/recovery"
	"github.com/cloakroom-vault/cloakroom/server/config"
)

// A share's file is lines that begin with "#", for people, and the share's text
// in one line of its own. White space around lines does not count.

// ErrShareFile: a file does not hold the share that it should; the error names
// the file and the rule, and never a character of a share.
var ErrShareFile = errors.New("the file holds no usable share")

// maxShareFile bounds what is read of a share's file, in bytes.
const maxShareFile = 64 << 10

// shareText is the content of a share's file.
func shareText(s *recovery.Share, now time.Time) string {
	return fmt.Sprintf(`# Cloakroom recovery share %d of %d.
# Any %d of the %d shares together open the root key of this vault when its KEK
# is lost. Keep this one secret, away from the vault and from the other shares.
#
#   vault  %s
#   set    %s
#   made   %s
#   use    cloakroomd recovery use --config FILE SHARE_FILE...
#
%s
`, s.Number, s.Shares, s.Threshold, s.Shares, hex.EncodeToString(s.Vault[:]), hex.EncodeToString(s.Set[:]),
		now.UTC().Format(time.RFC3339), s.Expose())
}

// parseShareText reads what shareText wrote.
func parseShareText(text string) (recovery.Share, error) {
	share := ""
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case share != "":
			return recovery.Share{}, fmt.Errorf("%w: it has more than one line beside those that begin with #", ErrShareFile)
		default:
			share = line
		}
	}
	if share == "" {
		return recovery.Share{}, fmt.Errorf("%w: it has no line beside those that begin with #", ErrShareFile)
	}
	s, err := recovery.ParseShare(share)
	if err != nil {
		return recovery.Share{}, fmt.Errorf("%w: %w", ErrShareFile, err)
	}
	return s, nil
}

// readShare reads a share's file. Errors name the file.
func readShare(path string) (_ recovery.Share, err error) {
	f, err := os.Open(path)
	if err != nil {
		return recovery.Share{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxShareFile+1))
	defer clear(text)
	if err != nil {
		return recovery.Share{}, err
	}
	if len(text) > maxShareFile || bytes.IndexByte(text, 0) >= 0 {
		return recovery.Share{}, fmt.Errorf("%s: %w: it is no text of a share", path, ErrShareFile)
	}
	s, err := parseShareText(string(text))
	if err != nil {
		return recovery.Share{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// shareFolder is a folder that gets the shares of one set.
type shareFolder struct {
	path  string
	made  bool // by this run
	files []string
}

// openShareFolder makes the folder, or takes one that is empty. It may not
// stand where the vault or copies of it do: shares beside what they open
// protect nothing.
func openShareFolder(c *config.Config, path string) (*shareFolder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := apart(c, path); err != nil {
		return nil, err
	}
	f := &shareFolder{path: path}
	err = os.Mkdir(path, 0o700)
	f.made = err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	entries, err := os.ReadDir(path)
	switch {
	case err != nil:
		return nil, err
	case len(entries) > 0:
		return nil, fmt.Errorf("%s is not empty: shares are written into a new or empty folder", path)
	}
	return f, nil
}

// apart refuses a folder inside those that the vault and its backups lie in.
func apart(c *config.Config, path string) error {
	real := resolved(path)
	places := map[string]string{"the data directory": c.Directory, "the directory of the audit log": c.Audit.Directory}
	if b := c.Backup; b != nil {
		places["the folder of backups of values"], places["the folder of backups of keys"] = b.Values.Directory, b.Keys.Directory
	}
	for what, place := range places {
		if rel, err := filepath.Rel(resolved(place), real); err == nil && filepath.IsLocal(rel) {
			return fmt.Errorf("%s is inside %s: shares are kept away from what they open", path, what)
		}
	}
	return nil
}

// resolved follows the links in as much of a path as exists.
func resolved(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if parent := filepath.Dir(path); parent != path {
		return filepath.Join(resolved(parent), filepath.Base(path))
	}
	return path
}

// write writes a share's file of mode 0600, which has its name when all of it
// is durable, and returns its path.
func (f *shareFolder) write(s *recovery.Share, now time.Time) (_ string, err error) {
	path := filepath.Join(f.path, fmt.Sprintf("share-%d-of-%d.txt", s.Number, s.Shares))
	file, err := os.CreateTemp(f.path, ".share-*.tmp") // made with mode 0600
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.WriteString(shareText(s, now))
	if err := errors.Join(err, file.Chmod(0o600), file.Sync(), file.Close()); err != nil {
		return "", err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return "", err
	}
	f.files = append(f.files, path)
	return path, nil
}

// sync makes the names durable.
func (f *shareFolder) sync() error {
	paths := []string{f.path}
	if f.made {
		paths = append(paths, filepath.Dir(f.path))
	}
	for _, path := range paths {
		d, err := os.Open(path)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return err
		}
	}
	return nil
}

// undo removes what was written, of a set that was never put in force.
func (f *shareFolder) undo() {
	for _, path := range f.files {
		_ = os.Remove(path)
	}
	if f.made {
		_ = os.Remove(f.path)
	}
}
