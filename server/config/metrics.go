package config

import (
	"net"
	"net/netip"

	"go.yaml.in/yaml/v3"
)

// Metrics says where metrics are served, over plain HTTP.
type Metrics struct {
	Listen string // host:port, as net.Listen takes it
	// Insecure allows an address that others than this machine reach.
	Insecure bool
}

func (r reader) metrics(n *yaml.Node) {
	if n == nil {
		return
	}
	s := r.section(n, "metrics", "listen", "insecure")
	m := &Metrics{Insecure: r.flag(s, "insecure", false)}
	if n := s.need("listen", "the address that metrics are served at"); n != nil {
		const none = ""
		m.Listen = r.address(s, "listen", none)
		if m.Listen != none && !m.Insecure && !loopback(m.Listen) {
			r.add(n.Line, s.in("listen"), "metrics are served in clear, so others than this machine reach them only with insecure: true")
		}
	}
	r.c.Metrics = m
}

// loopback reports whether only this machine reaches an address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
