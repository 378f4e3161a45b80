package alarm

import "errors"

var (
	// ErrConfig: a setting of Config or Options breaks a rule.
	ErrConfig = errors.New("alarms are not configured well")
	// ErrState: a saved state is damaged, or no state at all. Removing the file
	// begins anew, as Options say for a start without one.
	ErrState = errors.New("state of the alarms is not readable")
	// ErrFormat: the state was saved by a newer or unknown version.
	ErrFormat = errors.New("state of the alarms has an unsupported format version")
)

// errStuck: a log has entries after the cursor and gives none of them.
var errStuck = errors.New("the log gives no entry where it should have one")
