package alarm

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Config says when alarms are raised. Every rule is always on; OutOfHours
// without Hours has nothing to say.
type Config struct {
	UnknownTokens Series
	Refusals      Series
	Persons       Persons
	Hours         []Hours
}

// Series is the threshold of a series: at least Count items (1 to MaxCount)
// within less than Within (1 second to 24 hours).
type Series struct {
	Count  int
	Within time.Duration
}

// Persons is the threshold of ManyPersons: more than Floor (1 to MaxPersons)
// and more than Factor (1 to 1,000,000) times the usual of the caller, in one
// hour.
type Persons struct {
	Floor  int
	Factor float64
}

const (
	// MaxCount is the highest threshold of a series.
	MaxCount = 1000
	// MaxPersons is how many distinct persons are held in memory for the current
	// hour, of all callers together.
	MaxPersons = 1 << 20
	// MaxPrincipals is how many callers are remembered.
	MaxPrincipals = 4096
	// MaxHours is how many elements Config.Hours may have.
	MaxHours = 1000
	// Window is how long OutOfHours, Honey and Corrupt stay quiet about a
	// principal after an alarm.
	Window = time.Hour

	maxWithin = 24 * time.Hour
	maxFactor = 1e6
)

// Defaults returns thresholds that fit a vault behind services: 20 unknown
// tokens or 50 refusals within 5 minutes, and more than 100 persons an hour at
// more than 10 times the usual. No hours are declared.
func Defaults() Config {
	return Config{
		UnknownTokens: Series{Count: 20, Within: 5 * time.Minute},
		Refusals:      Series{Count: 50, Within: 5 * time.Minute},
		Persons:       Persons{Floor: 100, Factor: 10},
	}
}

// Validate reports all rules that c breaks, as one error wrapping ErrConfig
// that names fields and rules.
func (c *Config) Validate() error {
	var all []error
	bad := func(field, rule string) { all = append(all, fmt.Errorf("%w: %s: %s", ErrConfig, field, rule)) }
	c.UnknownTokens.check("unknown_tokens", bad)
	c.Refusals.check("refusals", bad)
	if c.Persons.Floor < 1 || c.Persons.Floor > MaxPersons {
		bad("persons.floor", fmt.Sprintf("must be 1 to %d", MaxPersons))
	}
	if f := c.Persons.Factor; math.IsNaN(f) || f < 1 || f > maxFactor {
		bad("persons.factor", fmt.Sprintf("must be 1 to %.0f", maxFactor))
	}
	if len(c.Hours) > MaxHours {
		bad("hours", fmt.Sprintf("must be at most %d", MaxHours))
	}
	for i := range c.Hours {
		c.Hours[i].check(fmt.Sprintf("hours[%d]", i), bad)
	}
	return errors.Join(all...)
}

func (s Series) check(field string, bad func(field, rule string)) {
	if s.Count < 1 || s.Count > MaxCount {
		bad(field+".count", fmt.Sprintf("must be 1 to %d", MaxCount))
	}
	if s.Within < time.Second || s.Within > maxWithin {
		bad(field+".within", fmt.Sprintf("must be %v to %v", time.Second, maxWithin))
	}
}
