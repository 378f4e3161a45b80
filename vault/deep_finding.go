package vault

import (
	"fmt"
	"math"
	"strings"
)

// FindingKind says what is wrong. The names that String gives are stable.
type FindingKind uint8

// The kinds of findings. Last and Earlier are the fields of Finding.
const (
	_ FindingKind = iota
	// CellOlder: a cell holds what an earlier entry wrote (Earlier), and not
	// the last one (Last): it was put back.
	CellOlder
	// CellUnwritten: a cell holds what no entry of this log wrote. Last is set
	// when the item was written at all.
	CellUnwritten
	// CellDeleted: the cell of an item that Last deleted is there.
	CellDeleted
	// CellErased: the cell of a person whom Last erased is there.
	CellErased
	// CellClosed: a cell does not open at its place: moved, or changed.
	CellClosed
	// CellUnlisted: a cell is there as written, and its record does not list it.
	CellUnlisted
	// CellMissing: the item that Last wrote is not there.
	CellMissing
	// RecordMissing: the record that Last stored is not there.
	RecordMissing
	// RecordOlder: a record is there that Last deleted, or it lists an item
	// that is deleted, or gives a number out again: it was put back.
	RecordOlder
	// RecordUnwritten: a record is there, or lists an item, that no entry of
	// this log wrote.
	RecordUnwritten
	// PersonMissing: nothing is stored of a person whom the log knows.
	PersonMissing
	// HeaderMissing: a person has no header.
	HeaderMissing
	// HeaderOlder: a person is active who was erased: the header was put back.
	HeaderOlder
	// HeaderErased: a person is marked as erased by no entry.
	HeaderErased
	// HeaderCount: a header counts another number of records than there are.
	// Deleting the last record would not erase the person.
	HeaderCount
	// LedgerMissing: the ledger does not know of an erasure.
	LedgerMissing
	// KeyMissing: an active person has no key.
	KeyMissing
	// KeyClosed: a person's key does not open: moved, or changed.
	KeyClosed
	// KeyErased: the key of an erased person is there.
	KeyErased
	// RowDamaged: a row among the persons' is none.
	RowDamaged
	// PolicyOlder: the policy in force is version Number, and Last applied a
	// newer one: it was put back.
	PolicyOlder
	// PolicyUnwritten: the policy in force, version Number, was applied by no
	// entry of this log.
	PolicyUnwritten
	// PolicyMissing: policy version Number, by which Last was decided, is not
	// kept, or does not open.
	PolicyMissing
	// LogOlder: the log had Number entries when the values were written to
	// last, and has fewer: it was put back.
	LogOlder
	// LogOther: the first Number entries are others than those that the values
	// were written with.
	LogOther
	// MarkMissing: the values do not say any more how far the log was, so it may
	// have been put back.
	MarkMissing
	// EntryForeign: Last tells of a change, and this vault did not make it: it
	// was put into the log, or changed.
	EntryForeign
	// FreezeMissing: freeze Number, which Last told of, is not there, and no
	// entry thaws it.
	FreezeMissing
	// FreezeOlder: freeze Number, which Last thawed, is there: it was put back.
	FreezeOlder
	// FreezeUnwritten: no entry of this log tells of freeze Number.
	FreezeUnwritten
	// FreezeClosed: freeze Number does not open: moved, or changed.
	FreezeClosed
	// HoneyMissing: honey mark Number, which Last told of, is not there, and no
	// entry ends it.
	HoneyMissing
	// HoneyOlder: honey mark Number, which Last ended, is there: it was put back.
	HoneyOlder
	// HoneyUnwritten: no entry of this log tells of honey mark Number.
	HoneyUnwritten
	// HoneyClosed: honey mark Number does not open: moved, or changed.
	HoneyClosed
	// GuardBroken: the control row, the freezes and the honey marks are not those
	// that the vault wrote together. It does not open like this.
	GuardBroken
)

// kinds are the stable names and what they mean.
var kinds = [...]struct{ name, text string }{
	CellOlder:       {"cell_older", "the cell was put back to an older version"},
	CellUnwritten:   {"cell_unwritten", "the cell was never written by this log"},
	CellDeleted:     {"cell_deleted", "the cell of a deleted item is back"},
	CellErased:      {"cell_erased", "the cell of an erased person is back"},
	CellClosed:      {"cell_closed", "the cell does not open: it was moved or changed"},
	CellUnlisted:    {"cell_unlisted", "the record does not list the cell"},
	CellMissing:     {"cell_missing", "the cell is missing"},
	RecordMissing:   {"record_missing", "the record is missing"},
	RecordOlder:     {"record_older", "the record was put back to an older version"},
	RecordUnwritten: {"record_unwritten", "the record, or an item in it, was never written by this log"},
	PersonMissing:   {"person_missing", "the person is missing"},
	HeaderMissing:   {"header_missing", "the person's header is missing"},
	HeaderOlder:     {"header_older", "the person was erased and is active: the header was put back"},
	HeaderErased:    {"header_erased", "the person is marked as erased by no entry"},
	HeaderCount:     {"header_count", "the header counts another number of records than there are"},
	LedgerMissing:   {"ledger_missing", "the ledger does not know of the person's erasure"},
	KeyMissing:      {"key_missing", "the person's key is missing"},
	KeyClosed:       {"key_closed", "the person's key does not open: it was moved or changed"},
	KeyErased:       {"key_erased", "the key of an erased person is back"},
	RowDamaged:      {"row_damaged", "a row is damaged"},
	PolicyOlder:     {"policy_older", "the policy was put back to an older version"},
	PolicyUnwritten: {"policy_unwritten", "the policy in force was never applied by this log"},
	PolicyMissing:   {"policy_missing", "a policy by which was decided is missing"},
	LogOlder:        {"log_older", "the audit log is older than the values"},
	LogOther:        {"log_other", "the audit log is not the one that the values were written with"},
	MarkMissing:     {"mark_missing", "the values do not say any more how far the audit log was"},
	EntryForeign:    {"entry_foreign", "the entry of a change was not made by this vault"},
	FreezeMissing:   {"freeze_missing", "the freeze is missing"},
	FreezeOlder:     {"freeze_older", "the freeze was thawed and is back"},
	FreezeUnwritten: {"freeze_unwritten", "the log does not tell of the freeze"},
	FreezeClosed:    {"freeze_closed", "the freeze does not open: it was moved or changed"},
	HoneyMissing:    {"honey_missing", "the honey mark is missing"},
	HoneyOlder:      {"honey_older", "the honey mark was ended and is back"},
	HoneyUnwritten:  {"honey_unwritten", "the log does not tell of the honey mark"},
	HoneyClosed:     {"honey_closed", "the honey mark does not open: it was moved or changed"},
	GuardBroken:     {"guard_broken", "the control row, the freezes and the honey marks were not written together"},
}

// String returns the stable name of a kind.
func (k FindingKind) String() string {
	if int(k) < len(kinds) && k > 0 {
		return kinds[k].name
	}
	return fmt.Sprintf("finding(%d)", uint8(k))
}

// EntryNumber names an entry of the log: its index plus one. 0 is none.
type EntryNumber uint64

// InOutbox stands for entries of committed changes that a crash kept out of
// the log; the next start puts them in.
const InOutbox EntryNumber = math.MaxUint64

// String names the entry for people.
func (n EntryNumber) String() string {
	switch n {
	case 0:
		return "no entry"
	case InOutbox:
		return "an entry of the outbox"
	}
	return fmt.Sprintf("entry %d", uint64(n)-1)
}

// Finding is one fault. It holds no value and no id that a caller gave.
type Finding struct {
	Kind FindingKind
	// Field is "collection.field", or the collection of a record; "field 7" or
	// "collection 7" when no policy that is kept knows the number.
	Field string
	Item  uint16 // 0 when the finding is about no item
	// Person is the person's handle, 32 hex digits: the enciphered reference
	// that the log's entries name the person by.
	Person string
	// Last is the last entry that tells of it, Earlier the one whose state is
	// there instead. 0 where none is known.
	Last, Earlier EntryNumber
	// Restored is the entry of a restore from a backup that was made before Last:
	// what Last wrote is lost, and that is no sign of tampering. 0: none.
	Restored EntryNumber
	Number   uint64 // what the kind says
}

// String describes the finding in one line.
func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprint(&b, f.Kind)
	if f.Field != "" {
		fmt.Fprintf(&b, " %s", f.Field)
	}
	if f.Item != 0 {
		fmt.Fprintf(&b, " item %d", f.Item)
	}
	if f.Person != "" {
		fmt.Fprintf(&b, " person %s", f.Person)
	}
	if int(f.Kind) < len(kinds) {
		fmt.Fprintf(&b, ": %s", kinds[f.Kind].text)
	}
	switch f.Kind {
	case PolicyOlder, PolicyUnwritten, PolicyMissing:
		fmt.Fprintf(&b, " (version %d)", f.Number)
	case LogOlder, LogOther:
		fmt.Fprintf(&b, " (of %d entries)", f.Number)
	case FreezeMissing, FreezeOlder, FreezeUnwritten, FreezeClosed, HoneyMissing, HoneyOlder, HoneyUnwritten, HoneyClosed:
		fmt.Fprintf(&b, " (number %d)", f.Number)
	}
	if f.Last != 0 {
		fmt.Fprintf(&b, "; last told by %s", f.Last)
	}
	if f.Earlier != 0 {
		fmt.Fprintf(&b, "; what is there is told by %s", f.Earlier)
	}
	if f.Restored != 0 {
		fmt.Fprintf(&b, "; it came after the backup that was restored by %s", f.Restored)
	}
	return b.String()
}
