package bench

import (
	"encoding/json"
	"errors"
	"fmt"
)

// keyOrder asks the server process of the key bench for something.
type keyOrder struct {
	Do   string
	What string `json:",omitempty"`
	N    int    `json:",omitempty"`
}

// What can be ordered.
const (
	doRewrap     = "rewrap"      // rotate N fields (0: the card alone) and wait for the re-wrap
	doBareRewrap = "bare rewrap" // the bare loop over the same rows and fields
	doPersons    = "persons"     // store the keys of N persons more
	doEpoch      = "epoch"       // end the epoch and wait for it
	doBareEpoch  = "bare epoch"  // the bare loop over N persons' keys
	doBackup     = "backup"      // make a backup
	doBareCopy   = "bare copy"   // copy the files
	doRestore    = "restore"     // stop serving, for good, and restore the last backup
	doBareLoad   = "bare load"   // write the rows of the last backup into empty stores
	doDisable    = "disable"     // disable the version in use of the card's keyset
	doEnable     = "enable"      // enable version N of it and wait for the re-wrap
	doBegin      = "begin"       // begin to repeat the work What
	doProgress   = "progress"    // tell how much of it was done
	doFinish     = "finish"      // let it end after this time
)

// keyAnswer is what the server process says to an order.
type keyAnswer struct {
	N       float64            // values, persons' keys or rows that were worked on
	Bytes   float64            // that were written
	Seconds float64            // that it took
	Steps   map[string]float64 `json:",omitempty"` // seconds of its parts
	Version uint32             `json:",omitempty"`
	Entries uint64             `json:",omitempty"` // of the audit log that were read
	Error   string             `json:",omitempty"`
}

// rate is how much was worked on in a second.
func (a *keyAnswer) rate() float64 { return a.N / a.Seconds }

// order is ask for the key bench.
func (p *process) order(q keyOrder) (keyAnswer, error) {
	var a keyAnswer
	line, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return a, err
	}
	if err := p.out.Decode(&a); err != nil {
		return a, fmt.Errorf("%s: %w", q.Do, err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}
