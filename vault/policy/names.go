package policy

import (
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	maxName      = 64
	maxCategory  = 128
	maxPrincipal = 256 // bytes, as many as the audit log takes
	maxProse     = 2000
)

var (
	lowerSnake  = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	dottedSnake = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*(\.[a-z][a-z0-9]*(_[a-z0-9]+)*)*$`)
	spiffeID    = regexp.MustCompile(`^spiffe://[a-z0-9._-]{1,255}((?:/[A-Za-z0-9._-]+)+)$`)
	dnsName     = regexp.MustCompile(`^dns:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
)

// name reads the name under key: lower_snake. It is required when need is set.
func (m mapping) name(key string, need bool) string {
	if need && m.need(key) == nil || !m.has(key) {
		return ""
	}
	n := m.values[key]
	s, ok := m.r.scalar(n, m.in(key), "!!str", "a name")
	if !ok {
		return ""
	}
	if len(s) > maxName || !lowerSnake.MatchString(s) {
		m.r.add(n.Line, m.in(key), "want a name in lower_snake, a letter first, at most %d characters", maxName)
		return ""
	}
	return s
}

// category reads a required dotted lower_snake key such as user.contact.email.
func (m mapping) category(key string) string {
	n := m.need(key)
	if n == nil {
		return ""
	}
	s, ok := m.r.scalar(n, m.in(key), "!!str", "a category")
	if !ok {
		return ""
	}
	if len(s) > maxCategory || !dottedSnake.MatchString(s) {
		m.r.add(n.Line, m.in(key), "want a category such as user.contact.email: lower_snake parts joined by dots, at most %d characters", maxCategory)
		return ""
	}
	return s
}

// refs reads the list of names under key. What is no text is noted and left
// empty; a name that stands twice is noted.
func (m mapping) refs(key string) []ref {
	var list []ref
	seen := map[string]bool{}
	m.each(key, func(n *yaml.Node, path string) {
		s, ok := m.r.scalar(n, path, "!!str", "a name")
		if ok && s == "" {
			m.r.add(n.Line, path, "the name is empty")
		}
		if s != "" && seen[s] {
			m.r.add(n.Line, path, "stands twice in this list")
			s = ""
		}
		seen[s] = true
		list = append(list, ref{place{n.Line, path}, s})
	})
	return list
}

// oneOf reads the text under key, which must be one of the known words. It is
// required when need is set.
func (m mapping) oneOf(key string, need bool, known []string) string {
	if need && m.need(key) == nil || !m.has(key) {
		return ""
	}
	n := m.values[key]
	s, ok := m.r.scalar(n, m.in(key), "!!str", "text")
	if !ok {
		return ""
	}
	for _, word := range known {
		if word != "" && word == s {
			return s
		}
	}
	m.r.add(n.Line, m.in(key), "want one of %s", listing(known))
	return ""
}

// listing joins the words that are not empty.
func listing(words []string) string {
	var list []string
	for _, word := range words {
		if word != "" {
			list = append(list, word)
		}
	}
	return strings.Join(list, ", ")
}

// CheckPrincipalID returns nil for an id that a policy can name: a SPIFFE ID
// with a path (spiffe://trust.domain/path) or dns: followed by a lower-case
// host name; at most 256 bytes. Otherwise an error wrapping ErrPrincipal
// that states the rule.
func CheckPrincipalID(id string) error {
	if len(id) > maxPrincipal {
		return fmt.Errorf("%w: longer than %d bytes", ErrPrincipal, maxPrincipal)
	}
	switch {
	case strings.HasPrefix(id, "spiffe://"):
		found := spiffeID.FindStringSubmatch(id)
		if found == nil {
			return fmt.Errorf("%w: want spiffe://trust.domain/path, the trust domain in lower case, no empty part", ErrPrincipal)
		}
		for part := range strings.SplitSeq(found[1][1:], "/") {
			if part == "." || part == ".." {
				return fmt.Errorf("%w: a part of the path is a relative step", ErrPrincipal)
			}
		}
		return nil
	case strings.HasPrefix(id, "dns:"):
		if len(id) > len("dns:")+253 || !dnsName.MatchString(id) {
			return fmt.Errorf("%w: want dns: and a host name in lower case", ErrPrincipal)
		}
		return nil
	}
	return fmt.Errorf("%w: want spiffe://… or dns:…", ErrPrincipal)
}
