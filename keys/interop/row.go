package main

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	kindField       = 1
	kindDomain      = 3
	kindAuditSigner = 7

	enabled  = 1
	disabled = 2
)

// header is the head of a keyset's row, as the comment of package keys draws it.
type header struct {
	kind     byte
	number   uint32
	versions []version
}

type version struct {
	number uint16
	id     uint32
	state  byte
}

const made = 1_660_000_000 // August 2022, when v1.7.0 came out

func (h header) name() string {
	kind := map[byte]string{kindField: "field", kindDomain: "domain", kindAuditSigner: "audit-signer"}[h.kind]
	return fmt.Sprintf("%s/%d", kind, h.number)
}

// bytes writes the header of a keyset that was never changed but by adding
// versions.
func (h header) bytes() []byte {
	b := binary.BigEndian.AppendUint32([]byte{1, h.kind}, h.number)
	b = binary.BigEndian.AppendUint64(b, uint64(len(h.versions))) // the generation
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.versions)+1))
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.versions)))
	for _, v := range h.versions {
		b = binary.BigEndian.AppendUint16(b, v.number)
		b = binary.BigEndian.AppendUint32(b, v.id)
		b = append(b, v.state)
		b = binary.BigEndian.AppendUint64(b, made)
	}
	return b
}

func parseHeader(blob []byte) (h header, err error) {
	const fixed, each = 18, 15
	if len(blob) < fixed || blob[0] != 1 {
		return h, errors.New("not a row of a keyset")
	}
	h.kind, h.number = blob[1], binary.BigEndian.Uint32(blob[2:])
	count := int(binary.BigEndian.Uint16(blob[16:]))
	if len(blob) < fixed+count*each {
		return h, errors.New("a row that is cut off")
	}
	for i := range count {
		e := blob[fixed+i*each:]
		h.versions = append(h.versions, version{binary.BigEndian.Uint16(e), binary.BigEndian.Uint32(e[2:]), e[6]})
	}
	return h, nil
}

// size is the length of the header in its row.
func (h header) size() int { return 18 + 15*len(h.versions) }

func (h header) find(number uint16) (version, error) {
	for _, v := range h.versions {
		if v.number == number {
			return v, nil
		}
	}
	return version{}, fmt.Errorf("no version %d", number)
}

// rowData is what a row is bound to.
func (x *exchange) rowData(header []byte) []byte {
	return append(append([]byte("cloakroom/keyset/v1"), x.Vault...), header...)
}
