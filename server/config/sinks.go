package config

import (
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/cloakroom-vault/cloakroom/server/sink/httppost"
	"github.com/cloakroom-vault/cloakroom/server/sink/syslog"
)

// Limits of the audit log's retention, in days, and of its sinks.
const (
	MinRetention = 30
	MaxRetention = 36500
	MaxSinks     = 16
)

// Sink is a place to which the audit log is sent; exactly one of the three is
// set.
type Sink struct {
	// Name is unique among the sinks: a small letter, then at most 31 small
	// letters, digits and hyphens.
	Name   string
	File   *FileSink
	Syslog *SyslogSink
	OTLP   *OTLPSink
}

// FileSink appends lines of JSON to a file; see server/sink/jsonlines.
type FileSink struct {
	Path string
}

// SyslogSink sends RFC 5424 messages; see server/sink/syslog.
type SyslogSink struct {
	Address string // unix:/path, udp://, tcp:// or tls://host:port
	CA      string // authorities in PEM, for tls; empty: the system's
}

// OTLPSink sends OTLP logs to a collector; see server/sink/otlp.
type OTLPSink struct {
	Endpoint    string // https, or http to this machine
	HeadersFile string // mode 0600 or 0400; may be empty
	CA          string // authorities in PEM; empty: the system's
}

var (
	sinkName  = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	wholeDays = regexp.MustCompile(`^[1-9][0-9]{0,4}d$`)
)

func (r reader) audit(n *yaml.Node) {
	c := r.c
	c.Audit.Directory = auditIn(c.Directory)
	if n == nil {
		return
	}
	s := r.section(n, "audit", "directory", "retention", "sinks")
	if s.wrong {
		return
	}
	if s.values["directory"] != nil {
		c.Audit.Directory = r.path(s, "directory", "the folder of the audit log")
	}
	c.Audit.Retention = r.retention(s)
	taken := map[string]bool{}
	for i, n := range r.elements(s.values["sinks"], "audit.sinks", MaxSinks) {
		c.Audit.Sinks = append(c.Audit.Sinks, r.sink(n, "audit.sinks["+strconv.Itoa(i)+"]", taken))
	}
}

func (r reader) retention(s section) int {
	n := s.values["retention"]
	text, ok := s.scalar(n, "retention", "!!str", "a number of days such as 730d")
	if !ok {
		return 0
	}
	days := 0
	if wholeDays.MatchString(text) {
		days, _ = strconv.Atoi(strings.TrimSuffix(text, "d"))
	}
	if days < MinRetention || days > MaxRetention {
		r.add(n.Line, s.in("retention"), "want a number of days from %dd to %dd, or no retention to keep entries for ever", MinRetention, MaxRetention)
		return 0
	}
	return days
}

func (r reader) sink(n *yaml.Node, path string, taken map[string]bool) (sink Sink) {
	s := r.section(n, path, "name", "file", "syslog", "otlp")
	sink.Name = r.name(s, taken)
	kinds := 0
	for _, kind := range []string{"file", "syslog", "otlp"} {
		if s.values[kind] != nil {
			kinds++
		}
	}
	if kinds != 1 && !s.wrong {
		r.add(s.line, path, "want exactly one of file, syslog and otlp")
		return sink
	}
	if n := s.values["file"]; n != nil {
		sink.File = &FileSink{Path: r.path(r.section(n, s.in("file"), "path"), "path", "the file to append to")}
		r.separate(s, sink.File.Path, taken)
	}
	if n := s.values["syslog"]; n != nil {
		sink.Syslog = r.syslog(r.section(n, s.in("syslog"), "address", "ca"))
	}
	if n := s.values["otlp"]; n != nil {
		s := r.section(n, s.in("otlp"), "endpoint", "headers_file", "ca")
		sink.OTLP = &OTLPSink{
			Endpoint:    r.url(s, "endpoint", "the URL of a collector"),
			HeadersFile: r.optionalPath(s, "headers_file"),
			CA:          r.optionalPath(s, "ca"),
		}
	}
	return sink
}

// separate notes a file that belongs to the log itself or to another sink.
func (r reader) separate(s section, path string, taken map[string]bool) {
	key := s.in("file.path")
	switch {
	case path == "":
		return
	case inside(r.c.Audit.Directory, path):
		r.add(r.c.lines[key], key, "must not be inside audit.directory, which is the log's own")
	case taken[path]:
		r.add(r.c.lines[key], key, "another sink has this file")
	}
	taken[path] = true
}

// name reads the name of a sink or a webhook. Paths share the map; they begin
// with a slash and no name does.
func (r reader) name(s section, taken map[string]bool) string {
	n := s.need("name", "a name for log lines and metrics")
	text, ok := s.scalar(n, "name", "!!str", "a name")
	switch {
	case !ok:
		return ""
	case !sinkName.MatchString(text):
		r.add(n.Line, s.in("name"), "want a small letter, then at most 31 small letters, digits and hyphens")
		return ""
	case taken[text]:
		r.add(n.Line, s.in("name"), "the name stands here twice")
	}
	taken[text] = true
	return text
}

func (r reader) syslog(s section) *SyslogSink {
	sink := &SyslogSink{CA: r.optionalPath(s, "ca")}
	n := s.need("address", "unix:/path, udp://, tcp:// or tls://host:port")
	text, ok := s.scalar(n, "address", "!!str", "an address")
	if !ok {
		return sink
	}
	address, err := syslog.ParseAddress(text)
	switch {
	case err != nil:
		r.add(n.Line, s.in("address"), "%v", err)
	case sink.CA != "" && !address.Secure():
		r.add(s.values["ca"].Line, s.in("ca"), "only a tls:// address has authorities")
	}
	sink.Address = text
	return sink
}

// url reads a URL that must be there.
func (r reader) url(s section, key, what string) string {
	n := s.need(key, what)
	text, ok := s.scalar(n, key, "!!str", "a URL")
	if !ok {
		return ""
	}
	if _, err := httppost.ParseURL(text); err != nil {
		r.add(n.Line, s.in(key), "%v", err)
		return ""
	}
	return text
}
