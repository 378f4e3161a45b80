package datatype

import (
	"bytes"
	"net/netip"
	"strconv"
)

// appendCardMask: **** **** **** 1234, whatever the card's length.
func appendCardMask(dst, c []byte) ([]byte, bool) {
	if len(c) < minCard || len(c) > maxCard || !allDigits(string(c)) {
		return dst, false
	}
	return append(append(dst, "**** **** **** "...), c[len(c)-4:]...), true
}

// appendIBANMask: DE** **** **** 3000, whatever the country's length.
func appendIBANMask(dst, c []byte) ([]byte, bool) {
	if len(c) < minIBAN || len(c) > maxIBAN || !isLetter(c[0]) || !isLetter(c[1]) {
		return dst, false
	}
	for _, b := range c {
		if !isLetter(b) && !isDigit(b) {
			return dst, false
		}
	}
	return append(append(append(dst, c[:2]...), "** **** **** "...), c[len(c)-4:]...), true
}

// appendYear: 1977-**-**, of dates and timestamps.
func appendYear(dst, c []byte) ([]byte, bool) {
	if len(c) < len("2006-01-02") || c[4] != '-' || !allDigits(string(c[:4])) {
		return dst, false
	}
	return append(append(dst, c[:5]...), "**-**"...), true
}

// appendNetwork: 112.47.*.* or e751:***.
func appendNetwork(dst, c []byte) ([]byte, bool) {
	if len(c) > len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255") {
		return dst, false
	}
	addr, err := netip.ParseAddr(string(c))
	if err != nil {
		return dst, false
	}
	if addr.Is4() {
		a := addr.As4()
		dst = append(strconv.AppendUint(dst, uint64(a[0]), 10), '.')
		return append(strconv.AppendUint(dst, uint64(a[1]), 10), ".*.*"...), true
	}
	a := addr.As16()
	dst = strconv.AppendUint(dst, uint64(a[0])<<8|uint64(a[1]), 16)
	return append(append(dst, ':'), stars...), true
}

// appendDegreesMask: -73.*,-71.*, cut off, not rounded.
func appendDegreesMask(dst, c []byte) ([]byte, bool) {
	lat, lon, _ := bytes.Cut(c, []byte{','})
	start := len(dst)
	for _, part := range [][]byte{lat, lon} {
		whole, _, _ := bytes.Cut(part, []byte{'.'})
		digits := bytes.TrimPrefix(whole, []byte{'-'})
		if len(digits) > 3 || !allDigits(string(digits)) {
			return dst[:start], false
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(append(dst, whole...), ".*"...)
	}
	return dst, true
}

// appendOrigin: https://example.org/***, without the port.
func appendOrigin(dst, c []byte) ([]byte, bool) {
	scheme, rest, found := bytes.Cut(c, []byte("://"))
	if s := string(scheme); !found || s != "http" && s != "https" {
		return dst, false
	}
	authority := rest
	if end := bytes.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	if bytes.IndexByte(authority, '@') >= 0 { // before it stand user and password
		return dst, false
	}
	host := authority
	if bytes.HasPrefix(host, []byte{'['}) {
		end := bytes.IndexByte(host, ']')
		if end < 0 {
			return dst, false
		}
		if addr, err := netip.ParseAddr(string(host[1:end])); err != nil || addr.Zone() != "" {
			return dst, false
		}
		host = host[:end+1]
	} else {
		host, _, _ = bytes.Cut(host, []byte{':'})
		if !isHostName(string(host)) {
			return dst, false
		}
	}
	dst = append(append(append(dst, scheme...), "://"...), host...)
	return append(append(dst, '/'), stars...), true
}
