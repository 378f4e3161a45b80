package backup

import "errors"

var (
	// ErrFormat: the file is no artefact, or one of a newer version.
	ErrFormat = errors.New("not a backup that this version can read")
	// ErrDamaged: the artefact was cut off, changed, or made of parts of
	// several.
	ErrDamaged = errors.New("backup is damaged")
	// ErrUsage: the call breaks a rule of this package; nothing was done.
	ErrUsage = errors.New("backup used wrongly")
)
