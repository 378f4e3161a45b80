package config

import (
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

const maxPath = 4096 // bytes; PATH_MAX of Linux

var (
	hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)
	decimal  = regexp.MustCompile(`^(0|[1-9][0-9]{0,17})$`)
	allDigit = regexp.MustCompile(`^[0-9.]+$`)
	keyText  = regexp.MustCompile(`^cloakroom-[a-z-]*v[0-9]+:`)  // how key files of keys/filekek begin
	token    = regexp.MustCompile(`^hv[sbr]\.[A-Za-z0-9_-]{20}`) // how tokens of Vault begin
	days     = regexp.MustCompile(`^[1-9][0-9]{0,4}d$`)
)

// path reads a path that must be there, and resolves it.
func (r reader) path(s section, key, what string) string {
	n := s.need(key, what)
	text, ok := s.scalar(n, key, "!!str", "a path")
	if !ok {
		return ""
	}
	switch {
	case looksSecret(text):
		r.add(n.Line, s.in(key), "want a path; secrets do not stand in this file")
	case text == "":
		r.add(n.Line, s.in(key), "the path is empty")
	case len(text) > maxPath:
		r.add(n.Line, s.in(key), "the path is longer than %d bytes", maxPath)
	case strings.ContainsFunc(text, unicode.IsControl):
		r.add(n.Line, s.in(key), "the path holds a control character")
	case text == "~" || strings.HasPrefix(text, "~/"):
		r.add(n.Line, s.in(key), "~ has no meaning here; write the whole path")
	default:
		r.c.lines[s.in(key)] = n.Line
		if filepath.IsAbs(text) {
			return filepath.Clean(text)
		}
		return filepath.Join(r.base, text)
	}
	return ""
}

// optionalPath reads a path that may be left out.
func (r reader) optionalPath(s section, key string) string {
	if s.values[key] == nil {
		return ""
	}
	return r.path(s, key, "")
}

// looksSecret reports what somebody put in place of the path of its file.
func looksSecret(text string) bool {
	return strings.Contains(text, "-----BEGIN") || strings.Contains(text, "whsec_") || keyText.MatchString(text) || token.MatchString(text)
}

// address reads host:port. The host must be said: an empty one would listen
// to the whole world by omission.
func (r reader) address(s section, key, otherwise string) string {
	n := s.values[key]
	text, ok := s.scalar(n, key, "!!str", "host:port")
	if !ok {
		return otherwise
	}
	host, port, err := net.SplitHostPort(text)
	_, notIP := netip.ParseAddr(host)
	switch {
	case err != nil:
		r.add(n.Line, s.in(key), "want host:port, an IPv6 address in square brackets")
	case host == "":
		r.add(n.Line, s.in(key), "want a host before the port; 0.0.0.0 and [::] mean every address")
	case notIP != nil && (len(host) > 253 || !hostName.MatchString(host) || allDigit.MatchString(host)):
		r.add(n.Line, s.in(key), "the host is neither an IP address nor a host name")
	case !validPort(port):
		r.add(n.Line, s.in(key), "want a port from 0 to 65535, where 0 means any free one")
	default:
		return text
	}
	return otherwise
}

func validPort(port string) bool {
	_, err := strconv.ParseUint(port, 10, 16)
	return err == nil && decimal.MatchString(port)
}

func (r reader) flag(s section, key string, otherwise bool) bool {
	text, ok := s.scalar(s.values[key], key, "!!bool", "true or false")
	if !ok {
		return otherwise
	}
	return strings.EqualFold(text, "true")
}

func (r reader) integer(s section, key string, otherwise, least, most int) int {
	n := s.values[key]
	text, ok := s.scalar(n, key, "!!int", "a whole number")
	if !ok {
		return otherwise
	}
	number, err := strconv.Atoi(text)
	if err != nil || !decimal.MatchString(text) || number < least || number > most {
		r.add(n.Line, s.in(key), "want a whole number from %d to %d, in plain decimal digits", least, most)
		return otherwise
	}
	return number
}

func (r reader) duration(s section, key string, otherwise, least, most time.Duration) time.Duration {
	n := s.values[key]
	text, ok := s.scalar(n, key, "!!str", "a duration with its unit, such as 10s")
	if !ok {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		r.add(n.Line, s.in(key), "want a duration from %s to %s, such as 10s", short(least), short(most))
		return otherwise
	}
	return d
}

// period reads a duration in which days may be counted; 0 turns something off.
func (r reader) period(s section, key string, otherwise, least, most time.Duration) time.Duration {
	n := s.values[key]
	tag := "!!str"
	if n != nil && n.Kind == yaml.ScalarNode && n.Value == "0" {
		tag = "!!int"
	}
	text, ok := s.scalar(n, key, tag, "a duration with its unit, such as 12h or 7d, or 0")
	if !ok {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if days.MatchString(text) {
		number, _ := strconv.Atoi(strings.TrimSuffix(text, "d"))
		d, err = time.Duration(number)*day, nil
	}
	if err != nil || d != 0 && d < least || d > most || d < 0 {
		r.add(n.Line, s.in(key), "want a duration from %s to %s, such as 12h or 7d, or 0", periodText(least), periodText(most))
		return otherwise
	}
	return d
}

// periodText writes whole days as such.
func periodText(d time.Duration) string {
	if d > 0 && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	if d == 0 {
		return "0"
	}
	return short(d)
}

// choice reads one of a few words.
func choice[T any](r reader, s section, key string, otherwise T, words map[string]T, want string) T {
	n := s.values[key]
	text, ok := s.scalar(n, key, "!!str", want)
	if !ok {
		return otherwise
	}
	chosen, known := words[text]
	if !known {
		r.add(n.Line, s.in(key), "want %s", want)
		return otherwise
	}
	return chosen
}

// inside reports whether a path is a directory or stands in it; empty paths
// are unknown and stand nowhere.
func inside(directory, path string) bool {
	if path == "" || directory == "" {
		return false
	}
	relative, err := filepath.Rel(directory, path)
	return err == nil && relative != ".." && !strings.HasPrefix(relative, ".."+string(filepath.Separator))
}

// short writes a duration without the parts that are zero: 5m, not 5m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
