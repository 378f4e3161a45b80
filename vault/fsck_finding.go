package vault

import (
	"fmt"
	"strings"
)

// FsckKind says what a check of the stored rows found. The names that String
// gives are stable.
type FsckKind uint8

// The kinds of findings of Fsck. Those that can be repaired say so.
const (
	_ FsckKind = iota
	// FsckEngine: a store's own structure is damaged.
	FsckEngine
	// FsckUnreadable: rows cannot be read, since a page of the file is damaged.
	FsckUnreadable
	// FsckRow: a row, or its key, is none of this program's.
	FsckRow
	// FsckControl: a row that is no person's does not open, or does not agree
	// with the others; Detail says which.
	FsckControl
	// FsckLog: the audit log is not healthy, or is not the one of these values.
	FsckLog
	// FsckHeaderMissing: a person has rows, or is in the ledger, and has no header.
	FsckHeaderMissing
	// FsckHeaderCount: a header counts another number of records than there are.
	// Repair counts them, unless something says that a record was lost.
	FsckHeaderCount
	// FsckLedger: header and ledger do not agree on whether a person is erased.
	FsckLedger
	// FsckErasing: an erasure is noted as begun, of a person who is not erased.
	FsckErasing
	// FsckErased: rows of an erased person are there.
	FsckErased
	// FsckKeyMissing: a person who is not erased has no key.
	FsckKeyMissing
	// FsckKeyClosed: a person's key does not open in an epoch that is open.
	FsckKeyClosed
	// FsckKeyErased: the key of an erased person is there.
	FsckKeyErased
	// FsckKeyOrphan: a key has no person, and no start would sweep it. Repair
	// deletes it.
	FsckKeyOrphan
	// FsckRefAhead: a person or a key has a number that was not given out yet:
	// the values are older than the keys, or a counter was put back.
	FsckRefAhead
	// FsckIdentityMissing: the row of a person's id is missing.
	FsckIdentityMissing
	// FsckIdentityClosed: it does not open.
	FsckIdentityClosed
	// FsckLookupMissing: a person is not found by their id. Repair writes the row.
	FsckLookupMissing
	// FsckLookupOther: somebody else, or nobody, is found by a person's id.
	FsckLookupOther
	// FsckLookupLost: the file of the look-up of persons is lost. Repair, and the
	// next start, makes it anew.
	FsckLookupLost
	// FsckCellMissing: a record lists an item that has no cell.
	FsckCellMissing
	// FsckCellUnlisted: a cell is there that no record lists.
	FsckCellUnlisted
	// FsckCellClosed: a cell's outer lock does not open at its place.
	FsckCellClosed
	// FsckFieldUnknown: a value of a field that the policy does not know.
	FsckFieldUnknown
	// FsckMemberMissing: a record is not listed in its collection. Repair lists it.
	FsckMemberMissing
	// FsckMemberStray: a collection lists a person who has no record in it. Repair
	// takes the row out.
	FsckMemberStray
	// FsckRequestStale: requests are remembered that should be forgotten long
	// since. Repair forgets them.
	FsckRequestStale
	// FsckIndex: the index of the audit log is damaged. Repair removes it; it is
	// built again from the log.
	FsckIndex
)

// fsckKinds are the stable names and what they mean.
var fsckKinds = [...]struct{ name, text string }{
	FsckEngine:          {"engine_damaged", "the file's own structure is damaged"},
	FsckUnreadable:      {"unreadable", "rows cannot be read: a page of the file is damaged"},
	FsckRow:             {"row_damaged", "a row is damaged"},
	FsckControl:         {"control_damaged", "a row by which calls are decided, or work is kept, does not hold"},
	FsckLog:             {"log", "the audit log does not agree with the values"},
	FsckHeaderMissing:   {"header_missing", "the person's header is missing"},
	FsckHeaderCount:     {"header_count", "the header counts another number of records than there are"},
	FsckLedger:          {"ledger", "header and ledger do not agree on whether the person is erased"},
	FsckErasing:         {"erasing", "an erasure is noted as begun, and the person is not erased"},
	FsckErased:          {"rows_erased", "rows of an erased person are there"},
	FsckKeyMissing:      {"key_missing", "the person's key is missing"},
	FsckKeyClosed:       {"key_closed", "the person's key does not open"},
	FsckKeyErased:       {"key_erased", "the key of an erased person is there"},
	FsckKeyOrphan:       {"key_orphan", "a key has no person"},
	FsckRefAhead:        {"ref_ahead", "a number is in use that was not given out"},
	FsckIdentityMissing: {"identity_missing", "the row of the person's id is missing"},
	FsckIdentityClosed:  {"identity_closed", "the row of the person's id does not open"},
	FsckLookupMissing:   {"lookup_missing", "the person is not found by the caller's id"},
	FsckLookupOther:     {"lookup_other", "by the person's id somebody else is found, or nobody"},
	FsckLookupLost:      {"lookup_lost", "the file of the look-up of persons is lost"},
	FsckCellMissing:     {"cell_missing", "the cell is missing"},
	FsckCellUnlisted:    {"cell_unlisted", "no record lists the cell"},
	FsckCellClosed:      {"cell_closed", "the cell does not open: it was moved or changed"},
	FsckFieldUnknown:    {"field_unknown", "the policy does not know the field of the value"},
	FsckMemberMissing:   {"member_missing", "the collection does not list the record"},
	FsckMemberStray:     {"member_stray", "the collection lists a record that is not there"},
	FsckRequestStale:    {"request_stale", "requests are remembered for too long"},
	FsckIndex:           {"index_damaged", "the index of the audit log is damaged"},
}

// String returns the stable name of a kind.
func (k FsckKind) String() string {
	if int(k) < len(fsckKinds) && k > 0 {
		return fsckKinds[k].name
	}
	return fmt.Sprintf("fsck(%d)", uint8(k))
}

// MarshalText writes the stable name.
func (k FsckKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a stable name; another is an error.
func (k *FsckKind) UnmarshalText(text []byte) error {
	for i := range fsckKinds {
		if i > 0 && fsckKinds[i].name == string(text) {
			*k = FsckKind(i)
			return nil
		}
	}
	return fmt.Errorf("vault: no kind of finding has this name")
}

// FsckFinding is one fault of the stored rows. It holds no value, no token and
// no id that a caller gave.
type FsckFinding struct {
	Kind FsckKind `json:"kind"`
	// Table is where it stands: "values.db people".
	Table string `json:"table"`
	// Person is the person's handle, as in Finding.
	Person string `json:"person,omitempty"`
	// Field is "collection.field", or the collection of a record, as in Finding.
	Field string `json:"field,omitempty"`
	Item  uint16 `json:"item,omitempty"`
	// Detail says more, such as why a row does not open.
	Detail string `json:"detail,omitempty"`
	// Repaired tells that it was, and that nothing of it is left.
	Repaired bool `json:"repaired,omitempty"`
}

// String describes the finding in one line.
func (f FsckFinding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %s", f.Kind, f.Table)
	if f.Field != "" {
		fmt.Fprintf(&b, " %s", f.Field)
	}
	if f.Item != 0 {
		fmt.Fprintf(&b, " item %d", f.Item)
	}
	if f.Person != "" {
		fmt.Fprintf(&b, " person %s", f.Person)
	}
	if int(f.Kind) < len(fsckKinds) {
		fmt.Fprintf(&b, ": %s", fsckKinds[f.Kind].text)
	}
	if f.Detail != "" {
		fmt.Fprintf(&b, " (%s)", f.Detail)
	}
	if f.Repaired {
		b.WriteString("; repaired")
	}
	return b.String()
}
