package syslog

import (
	"encoding/hex"
	"os"
	"strconv"
	"strings"

	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

const (
	facility = 13 // log audit
	appName  = "cloakroomd"
	sdID     = "cloakroom@32473"

	severityAlert  = 1
	severityNotice = 5
	severityInfo   = 6

	// The lengths of header fields in RFC 5424.
	maxHostname = 255
	maxMsgID    = 32
)

// writer writes messages; its names are fixed.
type writer struct{ hostname, procID string }

// newWriter takes the machine's name if hostname is empty.
func newWriter(hostname string) writer {
	if hostname == "" {
		hostname, _ = os.Hostname() // without one it is the nil value
	}
	return writer{printable(hostname, maxHostname), strconv.Itoa(os.Getpid())}
}

// append adds one message without framing. Without its text it says that it is
// shortened.
func (w writer) append(b []byte, s sink.Entry, withText bool) []byte {
	e := s.E
	b = append(b, '<')
	b = strconv.AppendInt(b, facility*8+severity(e), 10)
	b = append(b, ">1 "...)
	b = e.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = append(b, ' ')
	b = append(b, w.hostname...)
	b = append(b, " "+appName+" "...)
	b = append(b, w.procID...)
	b = append(b, ' ')
	b = append(b, printable(e.Action.String(), maxMsgID)...)
	b = append(b, " ["+sdID...)
	b = parameter(b, "index", strconv.FormatUint(s.Index, 10))
	b = parameter(b, "id", hex.EncodeToString(e.ID[:]))
	for _, p := range []struct{ name, value string }{
		{"principal", e.Principal},
		{"outcome", e.Outcome.String()},
		{"purpose", e.Purpose},
		{"collection", e.Collection},
		{"object", e.Object},
		{"refusal", e.Refusal},
		{"count", strconv.FormatUint(uint64(e.Count), 10)},
	} {
		if p.value != "" {
			b = parameter(b, p.name, p.value)
		}
	}
	if !withText {
		return append(parameter(b, "shortened", "true"), ']')
	}
	return append(append(b, "] "...), s.JSON...)
}

func severity(e *audit.Entry) int64 {
	switch {
	case e.Action == audit.ActionAlarm:
		return severityAlert
	case e.Outcome == audit.Allowed:
		return severityInfo
	}
	return severityNotice
}

// parameter adds one parameter of the structured data. Control characters
// become question marks: a line break would end the message on some sockets.
func parameter(b []byte, name, value string) []byte {
	b = append(append(append(b, ' '), name...), '=', '"')
	for _, r := range value {
		switch {
		case r == '"' || r == '\\' || r == ']':
			b = append(b, '\\', byte(r))
		case r < ' ' || r == 0x7F || r >= 0x80 && r < 0xA0:
			b = append(b, '?')
		default:
			b = append(b, string(r)...)
		}
	}
	return append(b, '"')
}

// printable keeps what a header field may hold: 33 to 126.
func printable(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r < 33 || r > 126 {
			return '_'
		}
		return r
	}, text)
	if text == "" {
		return "-"
	}
	return text[:min(len(text), most)]
}
