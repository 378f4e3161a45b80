package backup

import (
	"slices"
	"time"
)

// Rule says how long artefacts of a kind are kept.
type Rule struct {
	Keep time.Duration // those that are older go; 0: none for its age
	Most int           // the oldest of more go; 0: any number
}

// Expired returns the artefacts of a vault that two rules do not keep any
// more. The newest pair that is whole always stays, however old it is, and so
// does whatever is newer. Artefacts of other vaults, and those whose header
// cannot be read, are not judged.
func Expired(vault ID, values, keys []Artefact, ofValues, ofKeys Rule, now time.Time) []Artefact {
	values, keys = own(vault, Values, values), own(vault, Keys, keys)
	var pair Header // of the newest pair
	for _, v := range values {
		if slices.ContainsFunc(keys, func(k Artefact) bool { return k.Header.Pair == v.Header.Pair }) {
			pair = v.Header
			break
		}
	}
	return append(ofValues.expired(values, pair, now), ofKeys.expired(keys, pair, now)...)
}

// own returns the artefacts of a vault and a kind, newest first.
func own(vault ID, kind Kind, all []Artefact) (out []Artefact) {
	for _, a := range all {
		if a.Err == nil && a.Header.Vault == vault && a.Header.Kind == kind {
			out = append(out, a)
		}
	}
	slices.SortStableFunc(out, func(a, b Artefact) int { return b.Header.Time.Compare(a.Header.Time) })
	return out
}

func (r Rule) expired(newest []Artefact, pair Header, now time.Time) (out []Artefact) {
	for i, a := range newest {
		if pair.Pair == (ID{}) || a.Header.Pair == pair.Pair || !a.Header.Time.Before(pair.Time) {
			continue
		}
		if r.Keep > 0 && now.Sub(a.Header.Time) > r.Keep || r.Most > 0 && i >= r.Most {
			out = append(out, a)
		}
	}
	return out
}

// Ended returns the artefacts of keys of a vault whose persons' keys do not
// open any more, since all epochs that they are of have ended. They can be
// removed: no restore of them gives a value.
func Ended(vault ID, keys []Artefact, ended func(epoch uint32) bool) (out []Artefact) {
	for _, a := range own(vault, Keys, keys) {
		if len(a.Header.Epochs) > 0 && !slices.ContainsFunc(a.Header.Epochs, func(e uint32) bool { return !ended(e) }) {
			out = append(out, a)
		}
	}
	return out
}
