package fakeserver

import (
	"encoding/binary"
	"encoding/hex"
	"slices"

	"github.com/cloakroom-vault/cloakroom/clients/go/auditentry"
	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// encode returns an entry in format 2, as package auditentry describes it.
// Fields get numbers in the order in which they come. The caller holds the lock.
func (l *AuditLog) encode(e *cloakroomv1.AuditEntry) []byte {
	id := block(e.GetId())
	b := append([]byte{2}, id[:]...)
	var ns uint64
	if e.HasTime() {
		ns = uint64(e.GetTime().AsTime().UnixNano())
	}
	b = binary.BigEndian.AppendUint64(b, ns)
	b = append(b, actionNumber(e.GetAction()), byte(max(e.GetOutcome(), 1)))
	b = binary.AppendUvarint(b, e.GetPolicyVersion())
	b = binary.AppendUvarint(b, uint64(e.GetCount()))
	for _, text := range []string{
		e.GetRequestId(), e.GetPrincipal(), e.GetPurpose(), e.GetView(), e.GetReason(), e.GetCollection(), e.GetRefusal(), e.GetObject(),
	} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	b = binary.AppendUvarint(b, uint64(len(e.GetItems())))
	before := &cloakroomv1.AuditItem{}
	for _, it := range e.GetItems() {
		b = l.encodeItem(b, it, before)
		before = it
	}
	return b
}

// encodeItem appends an item that follows before.
func (l *AuditLog) encodeItem(b []byte, it, before *cloakroomv1.AuditItem) []byte {
	var flags byte
	var rest []byte
	none := [16]byte{}
	if it.GetOutcome() == cloakroomv1.AuditOutcome_AUDIT_OUTCOME_REFUSED {
		flags |= 1 << 0
	}
	switch subject := block(it.GetSubject()); subject {
	case none:
	case block(before.GetSubject()):
		flags |= 1 << 3
	default:
		flags |= 1 << 2
		rest = append(rest, subject[:]...)
	}
	if it.GetField() == before.GetField() {
		flags |= 1 << 4
	} else {
		rest = binary.AppendUvarint(rest, l.fieldNumber(it.GetField()))
	}
	if it.GetItem() != 0 {
		flags |= 1 << 5
		rest = binary.AppendUvarint(rest, uint64(it.GetItem()))
	}
	if it.GetRefusal() != 0 {
		flags |= 1 << 6
		rest = binary.AppendUvarint(rest, uint64(it.GetRefusal()))
	}
	if len(it.GetHash()) == 16 {
		flags |= 1 << 7
		rest = append(rest, it.GetHash()...)
	}
	if it.GetKeyVersion() != before.GetKeyVersion() {
		flags |= 1 << 1
		rest = binary.AppendUvarint(rest, uint64(it.GetKeyVersion()))
	}
	return append(append(b, flags), rest...)
}

// fieldNumber is that of a field, from 1; 0 for none.
func (l *AuditLog) fieldNumber(name string) uint64 {
	if name == "" {
		return 0
	}
	if !slices.Contains(l.fields, name) {
		l.fields = append(l.fields, name)
	}
	return uint64(slices.Index(l.fields, name)) + 1
}

// actionNumber is that of an action, 255 for one without.
func actionNumber(name string) byte {
	for n := byte(1); n < 255; n++ {
		if auditentry.ActionName(n) == name {
			return n
		}
	}
	return 255
}

// block is 16 bytes in hexadecimal digits; zero for anything else.
func block(text string) (b [16]byte) {
	if data, err := hex.DecodeString(text); err == nil && len(data) == len(b) {
		copy(b[:], data)
	}
	return b
}
