package syslog

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// ErrAddress: the address breaks a rule.
var ErrAddress = errors.New("the syslog address")

// Address says where messages go.
type Address struct {
	network string // unix, udp, tcp, tls
	address string // a path, or host:port
	host    string // of the last three
}

// Secure reports whether the address asks for TLS.
func (a Address) Secure() bool { return a.network == "tls" }

// hostForm keeps mistakes out, not names that do not exist.
var hostForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?$`)

// ParseAddress reads "unix:/path", "udp://host:port", "tcp://host:port" or
// "tls://host:port". ErrAddress.
func ParseAddress(text string) (Address, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if !filepath.IsAbs(path) || strings.HasPrefix(path, "//") || strings.ContainsRune(path, 0) || len(path) > 107 {
			return Address{}, fmt.Errorf("%w: want an absolute path of at most 107 bytes after \"unix:\"", ErrAddress)
		}
		return Address{network: "unix", address: path}, nil
	}
	network, rest, ok := strings.Cut(text, "://")
	if !ok || network != "udp" && network != "tcp" && network != "tls" {
		return Address{}, fmt.Errorf("%w: want unix:/path, udp://host:port, tcp://host:port or tls://host:port", ErrAddress)
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return Address{}, fmt.Errorf("%w: want host:port, an IPv6 address in square brackets", ErrAddress)
	}
	if _, err := netip.ParseAddr(host); err != nil && !hostForm.MatchString(host) {
		return Address{}, fmt.Errorf("%w: the host is neither an IP address nor a host name", ErrAddress)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Address{}, fmt.Errorf("%w: want a port from 1 to 65535", ErrAddress)
	}
	return Address{network: network, address: rest, host: host}, nil
}

// String returns the address as it is written in a configuration.
func (a Address) String() string {
	if a.network == "unix" {
		return "unix:" + a.address
	}
	return a.network + "://" + a.address
}
