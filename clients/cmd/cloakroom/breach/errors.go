package breach

import "errors"

// What Write and the checks before it refuse.
var (
	// ErrFolder: the folder cannot be made, because something is there.
	ErrFolder = errors.New("the folder exists already and is not empty")
	// ErrLanguage: there are no texts in that language.
	ErrLanguage = errors.New("no such language")
	// ErrRows: the rows do not add up to the summary, so some are missing.
	ErrRows = errors.New("the rows do not add up to the summary")
)
