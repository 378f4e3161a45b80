package alarm

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// stateFormat is the number of the format that this version writes and reads.
const stateFormat = 1

// state is what a detector remembers, as it is saved.
type state struct {
	Format     int              `json:"format"`
	Cursor     uint64           `json:"cursor"`
	Hour       int64            `json:"hour"`
	Principals []principalState `json:"principals"`
}

type principalState struct {
	Name       string       `json:"name"`
	Last       uint64       `json:"last"`
	Unknown    *seriesState `json:"unknown_tokens,omitempty"`
	Refusals   *seriesState `json:"refusals,omitempty"`
	Persons    []byte       `json:"persons,omitempty"` // references one after the other
	Over       bool         `json:"over,omitempty"`
	Given      int64        `json:"given_up,omitempty"`
	Best       int64        `json:"best,omitempty"`
	Usual      float64      `json:"usual,omitempty"`
	OutOfHours *gateState   `json:"out_of_hours,omitempty"`
	Honey      *gateState   `json:"honey,omitempty"`
	Corrupt    *gateState   `json:"corrupt,omitempty"`
}

type seriesState struct {
	Marks  []int64     `json:"marks"` // time and items in turn
	Raised int64       `json:"raised,omitempty"`
	Since  int64       `json:"since,omitempty"`
	About  []itemState `json:"about,omitempty"`
}

type gateState struct {
	Raised  int64       `json:"raised"`
	Pending int64       `json:"pending,omitempty"`
	Allowed int64       `json:"allowed,omitempty"`
	Cause   uint64      `json:"cause,omitempty"`
	At      int64       `json:"at,omitempty"`
	Request string      `json:"request,omitempty"`
	About   []itemState `json:"about,omitempty"`
	Told    []byte      `json:"told,omitempty"` // 16 bytes each
}

type itemState struct {
	Subject []byte `json:"subject"`
	Field   uint32 `json:"field"`
	Item    uint16 `json:"item"`
	Allowed bool   `json:"allowed,omitempty"`
	Refusal uint16 `json:"refusal,omitempty"`
}

// Snapshot returns what the detector remembers, for Restore. cursor is the
// index of the entry to be told next.
func (d *Detector) Snapshot(cursor uint64) ([]byte, error) {
	s := state{Format: stateFormat, Cursor: cursor, Hour: d.hour, Principals: make([]principalState, 0, len(d.principals))}
	for _, p := range d.principals {
		s.Principals = append(s.Principals, p.save())
	}
	slices.SortFunc(s.Principals, func(a, b principalState) int { return cmp.Compare(a.Last, b.Last) })
	raw, err := json.Marshal(&s)
	if err != nil {
		return nil, fmt.Errorf("encode the state of the alarms: %w", err)
	}
	return append(raw, '\n'), nil
}

// Restore replaces what the detector remembers by what Snapshot returned, and
// returns the cursor. On error, which wraps ErrState or ErrFormat, the
// detector is as it was.
func (d *Detector) Restore(raw []byte) (cursor uint64, err error) {
	var head struct {
		Format *int `json:"format"`
	}
	if err := json.Unmarshal(raw, &head); err != nil || head.Format == nil {
		return 0, fmt.Errorf("%w: not one JSON object with a format", ErrState)
	}
	if *head.Format != stateFormat {
		return 0, fmt.Errorf("%w: format %d, want %d", ErrFormat, *head.Format, stateFormat)
	}
	var s state
	in := json.NewDecoder(bytes.NewReader(raw))
	in.DisallowUnknownFields()
	if err := in.Decode(&s); err != nil {
		return 0, fmt.Errorf("%w: not the fields of format %d", ErrState, stateFormat) // err may quote what stands there
	}
	next := &Detector{config: d.config, honey: d.honey, hour: s.Hour, principals: make(map[string]*tracked, len(s.Principals)), maxPrincipals: d.maxPrincipals, maxPersons: d.maxPersons}
	if err := next.load(&s); err != nil {
		return 0, err
	}
	*d = *next
	return s.Cursor, nil
}

func (p *tracked) save() principalState {
	s := principalState{
		Name: p.name, Last: p.last, Unknown: p.unknown.save(), Refusals: p.refusals.save(),
		Over: p.persons.over, Given: p.persons.given, Best: p.persons.best, Usual: p.persons.usual,
		OutOfHours: p.gates[gateHours].save(), Honey: p.gates[gateHoney].save(), Corrupt: p.gates[gateCorrupt].save(),
	}
	if n := len(p.persons.seen); n > 0 {
		s.Persons = make([]byte, 0, n*16)
		for ref := range p.persons.seen {
			s.Persons = append(s.Persons, ref[:]...)
		}
	}
	return s
}

func (s *series) save() *seriesState {
	if len(s.marks) == 0 {
		return nil
	}
	out := &seriesState{Marks: make([]int64, 0, 2*len(s.marks)), Raised: s.raised, Since: s.since, About: s.about.save()}
	for _, m := range s.marks {
		out.Marks = append(out.Marks, m.at, m.n)
	}
	return out
}

func (g *gate) save() *gateState {
	if g.raised == 0 {
		return nil
	}
	out := &gateState{Raised: g.raised, Pending: g.pending, Allowed: g.allowed, Cause: g.cause, At: g.at, Request: g.request, About: g.about.save()}
	for i := range g.told {
		out.Told = append(out.Told, g.told[i][:]...)
	}
	return out
}

func (s subjects) save() []itemState {
	var out []itemState
	for _, it := range s {
		out = append(out, itemState{Subject: it.Subject[:], Field: it.Field, Item: it.Item, Allowed: it.Outcome == audit.Allowed, Refusal: it.Refusal})
	}
	return out
}
