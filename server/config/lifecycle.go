package config

import (
	"reflect"
	"time"

	"go.yaml.in/yaml/v3"
)

// Limits and defaults of what is done with keys.
const (
	DefaultProbe     = 10 * time.Second
	minProbe         = time.Second
	maxProbe         = 10 * time.Minute
	DefaultAwayLimit = time.Hour
	maxAwayLimit     = 7 * day

	DefaultEpochLength = 7 * day
	minEpochLength     = time.Hour
	maxEpochLength     = 90 * day

	DefaultKeyAge = 365 * day
	DefaultWarn   = 14 * day
	minKeyAge     = day
	maxKeyAge     = 3650 * day
	maxWarn       = 90 * day

	// The percentage of time that a re-wrap takes while callers are active.
	DefaultBusy = 10
	maxRate     = 10_000_000 // values a second

	DefaultKeepValues  = 30 * day
	DefaultKeepKeys    = 7 * day
	DefaultBackupEvery = day
	minBackupEvery     = time.Hour
	maxBackupEvery     = 30 * day
)

// KEK says which provider wraps the root, and how long the vault trusts it
// without an answer.
type KEK struct {
	Provider
	// Next is what the root is wrapped by after the next change of the KEK; nil
	// when none is planned.
	Next *Provider
	// Probe is how often the provider is asked whether the key may be used.
	Probe time.Duration
	// AwayLimit is how long the vault goes on while the provider is away.
	AwayLimit time.Duration
}

// Epochs says where the keys of erasure epochs are and when an epoch ends.
type Epochs struct {
	EpochProvider
	Length time.Duration // 0: only on demand
}

// Keys says when keys are replaced by themselves and how fast values follow.
type Keys struct {
	Rotate Rotate
	// Warn is how long before a rotation is due an alarm is raised; 0: never.
	Warn   time.Duration
	Rewrap Rewrap
}

// Rotate is the age at which the keys of a kind rotate by themselves; 0: never.
type Rotate struct {
	Fields, Domains, Rows, Audit, Root time.Duration
}

// Rewrap bounds the work after a rotation.
type Rewrap struct {
	Rate int // values a second at most; 0: no bound
	Busy int // percent of the time while callers are active, 1 to 100
}

// Backup says where backups of the two stores go, and when.
type Backup struct {
	Values, Keys BackupPart
	Every        time.Duration // 0: only on demand
}

// BackupPart is one of the two artefacts of a backup.
type BackupPart struct {
	Directory string
	Keep      time.Duration
	KEK       Provider // wraps the key of each artefact
}

func (r reader) kek(n *yaml.Node) {
	k := &r.c.KEK
	s := r.section(n, "kek", append(kekKinds(), "next", "probe", "away_limit")...)
	k.Provider = r.provider(s)
	if n := s.values["next"]; n != nil {
		next := r.provider(r.section(n, "kek.next", kekKinds()...))
		if next.Kind() != "" && reflect.DeepEqual(next, k.Provider) {
			r.add(n.Line, "kek.next", "is the same as kek")
		}
		k.Next = &next
	}
	k.Probe = r.duration(s, "probe", k.Probe, minProbe, maxProbe)
	k.AwayLimit = r.period(s, "away_limit", k.AwayLimit, 0, maxAwayLimit)
}

func (r reader) epochs(n *yaml.Node) {
	e := &r.c.Epochs
	s := r.section(n, "epochs", append(epochKinds(), "length")...)
	e.EpochProvider = r.epochProvider(s)
	e.Length = r.period(s, "length", e.Length, minEpochLength, maxEpochLength)
}

func (r reader) keys(n *yaml.Node) {
	k := &r.c.Keys
	s := r.section(n, "keys", "rotate", "warn", "rewrap")
	rotate := r.section(s.values["rotate"], "keys.rotate", "fields", "domains", "rows", "audit", "root")
	for _, age := range []struct {
		key string
		of  *time.Duration
	}{
		{"fields", &k.Rotate.Fields}, {"domains", &k.Rotate.Domains}, {"rows", &k.Rotate.Rows}, {"audit", &k.Rotate.Audit}, {"root", &k.Rotate.Root},
	} {
		*age.of = r.period(rotate, age.key, *age.of, minKeyAge, maxKeyAge)
	}
	k.Warn = r.period(s, "warn", k.Warn, minKeyAge, maxWarn)
	rewrap := r.section(s.values["rewrap"], "keys.rewrap", "rate", "busy")
	k.Rewrap.Rate = r.integer(rewrap, "rate", k.Rewrap.Rate, 0, maxRate)
	k.Rewrap.Busy = r.integer(rewrap, "busy", k.Rewrap.Busy, 1, 100)
}

func (r reader) backup(n *yaml.Node) {
	if n == nil {
		return
	}
	s := r.section(n, "backup", "values", "keys", "every")
	b := &Backup{}
	b.Every = r.period(s, "every", DefaultBackupEvery, minBackupEvery, maxBackupEvery)
	b.Values = r.backupPart(s, "values", DefaultKeepValues, b.Every)
	b.Keys = r.backupPart(s, "keys", DefaultKeepKeys, b.Every)
	r.c.Backup = b
}

func (r reader) backupPart(s section, key string, keep, every time.Duration) (p BackupPart) {
	part := r.section(s.need(key, "directory and kek of the backups of "+key), s.in(key), "directory", "keep", "kek")
	p.Directory = r.path(part, "directory", "a folder of its own")
	p.Keep = r.period(part, "keep", keep, minKeyAge, maxKeyAge)
	if p.Keep < max(every, minKeyAge) {
		line := part.line
		if n := part.values["keep"]; n != nil {
			line = n.Line
		}
		r.add(line, part.in("keep"), "must not be shorter than backup.every, and not 0")
	}
	kek := part.need("kek", "the key that the backups are encrypted under")
	p.KEK = r.provider(r.section(kek, part.in("kek"), kekKinds()...))
	return p
}

// approved notes what cannot be had within FIPS 140.
func (r reader) approved() {
	if !r.c.FIPS {
		return
	}
	for _, p := range r.c.providers() {
		if p.passphrase != nil {
			at := p.path + ".passphrase"
			r.add(r.c.lines[at], at, "fips is true, and a key is made of a passphrase by Argon2id, which FIPS 140 does not approve")
		}
	}
}
