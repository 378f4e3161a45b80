package token

import (
	"encoding/binary"
	"math/bits"
)

const (
	// Prefix starts every token.
	Prefix = "tok_"
	// Len is the length of every token in bytes, all of them ASCII.
	Len = len(Prefix) + digits
	// Pattern is a regular expression that finds tokens in text, for scanners
	// of secrets and logs. Only a Codec tells whether a match is a token.
	Pattern = `tok_[0-9A-Za-z]{33}`

	payloadSize = 24
	digits      = 33 // 62^32 < 2^192 < 62^33

	alphabet    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	base        = uint64(len(alphabet))
	chunk       = 10                                                      // digits that are converted at once
	chunkValue  = uint64(62 * 62 * 62 * 62 * 62 * 62 * 62 * 62 * 62 * 62) // 62^10 < 2^64
	notInBase62 = 0xff
)

// values maps a byte to its digit. It never changes.
var values = func() (t [256]byte) {
	for i := range t {
		t[i] = notInBase62
	}
	for i := range len(alphabet) {
		t[alphabet[i]] = byte(i)
	}
	return t
}()

// putBase62 writes the 33 digits of a payload, most significant first.
//
// The number is three 64-bit limbs and is divided by 62^10 at a time, which
// takes ten wide divisions where one digit at a time would take a hundred.
func putBase62(dst *[digits]byte, payload *[payloadSize]byte) {
	a := binary.BigEndian.Uint64(payload[0:])
	b := binary.BigEndian.Uint64(payload[8:])
	c := binary.BigEndian.Uint64(payload[16:])
	for end := digits; end > 0; end -= chunk {
		var r uint64
		a, r = a/chunkValue, a%chunkValue
		b, r = bits.Div64(r, b, chunkValue)
		c, r = bits.Div64(r, c, chunkValue)
		for i := end - 1; i >= 0 && i >= end-chunk; i-- {
			dst[i] = alphabet[r%base]
			r /= base
		}
	}
}

// parseBase62 reads 33 digits. It reports false for a byte that is no digit
// and for a number of more than 24 bytes, so every payload has one text.
func parseBase62[T string | []byte](text T, payload *[payloadSize]byte) bool {
	if len(text) != digits {
		return false
	}
	var a, b, c uint64
	for at := 0; at < digits; {
		// The first chunk takes what is left over: three digits.
		end := at + (digits-at-1)%chunk + 1
		scale, n := uint64(1), uint64(0)
		for ; at < end; at++ {
			v := values[text[at]]
			if v == notInBase62 {
				return false
			}
			n, scale = n*base+uint64(v), scale*base
		}
		var carry, over uint64
		c, carry = mulAdd(c, scale, n)
		b, carry = mulAdd(b, scale, carry)
		a, over = mulAdd(a, scale, carry)
		if over != 0 {
			return false
		}
	}
	binary.BigEndian.PutUint64(payload[0:], a)
	binary.BigEndian.PutUint64(payload[8:], b)
	binary.BigEndian.PutUint64(payload[16:], c)
	return true
}

// mulAdd returns x·y + z as low and high words; it cannot overflow those.
func mulAdd(x, y, z uint64) (lo, hi uint64) {
	hi, lo = bits.Mul64(x, y)
	lo, carry := bits.Add64(lo, z, 0)
	return lo, hi + carry
}
