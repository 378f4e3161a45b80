package datatype

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
)

// canonicalIP reads an address without a zone, which means something on one
// machine only. An IPv4 address in IPv6 clothing is stored as IPv4.
func canonicalIP(_ *Type, in []byte, _ time.Time) ([]byte, error) {
	s, err := codeText(in)
	if err != nil {
		return nil, err
	}
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.Zone() != "" {
		return nil, refuse(RuleIPSyntax, "must be an IPv4 or IPv6 address without zone")
	}
	return addr.Unmap().AppendTo(nil), nil
}

// canonicalURL reads an absolute http or https address. Scheme and host are
// lower-cased, the host's labels beyond ASCII encoded, the scheme's own port
// dropped, an empty path written as "/". Everything behind is kept but for
// percent-encoding of what must be encoded, since only the site knows what it
// means. User and password are refused: they are a secret of their own.
func canonicalURL(_ *Type, in []byte, _ time.Time) ([]byte, error) {
	s, err := cleaning{form: norm.NFC}.clean(in)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(s, " \\") {
		return nil, errURL()
	}
	// The parser's error repeats its input, so it is dropped.
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errURL()
	}
	if u.User != nil {
		return nil, refuse(RuleURLSyntax, "must not contain a user name or password")
	}
	host, ok := urlHost(u.Hostname())
	if !ok {
		return nil, refuse(RuleURLHost, "the host must be a domain name or an IP address")
	}
	port, ok := urlPort(u.Scheme, u.Port())
	if !ok {
		return nil, refuse(RuleURLHost, "the port must be a number up to 65535")
	}
	u.Host = host + port
	if u.Path == "" {
		u.Path = "/"
	}
	return []byte(u.String()), nil
}

func urlHost(host string) (string, bool) {
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return "", false
		}
		if addr = addr.Unmap(); addr.Is4() {
			return addr.String(), true
		}
		return "[" + addr.String() + "]", true
	}
	return asciiDomain(host)
}

// urlPort returns ":port", or "" for the scheme's own port or none.
func urlPort(scheme, port string) (string, bool) {
	if port == "" {
		return "", true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", false
	}
	if scheme == "http" && n == 80 || scheme == "https" && n == 443 {
		return "", true
	}
	return ":" + strconv.FormatUint(n, 10), true
}

func errURL() error {
	return refuse(RuleURLSyntax, "must be an absolute address that begins with http:// or https://")
}
