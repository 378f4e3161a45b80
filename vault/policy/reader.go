package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// A reader turns YAML nodes into Go values and notes every mistake with its
// line and path. A value that could not be read is left empty, so that the
// rest can still be checked.
type reader struct {
	findings
}

var syntaxLine = regexp.MustCompile(`^yaml: line (\d+): `)

// document returns the only document in doc, free of anchors and aliases, or
// nil after noting why not.
func (r *reader) document(doc []byte) *yaml.Node {
	if len(doc) > MaxDocument {
		r.add(1, "", "the document has more than %d bytes", MaxDocument)
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(doc))
	var root, second yaml.Node
	switch err := decoder.Decode(&root); {
	case errors.Is(err, io.EOF):
		r.add(1, "", "the document is empty")
		return nil
	case err != nil:
		r.syntax(err)
		return nil
	}
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		r.syntax(err)
		return nil
	default:
		r.add(second.Line, "", "a second document in the file; one is allowed")
		return nil
	}
	if r.references(&root); !r.none() {
		return nil
	}
	return root.Content[0]
}

// syntax notes an error of the YAML parser. Its texts speak of the syntax;
// only the name of an unknown anchor is quoted by some, and left out here.
func (r *reader) syntax(err error) {
	line, message := 1, err.Error()
	if found := syntaxLine.FindStringSubmatch(message); found != nil {
		line, _ = strconv.Atoi(found[1])
		message = message[len(found[0]):]
	}
	message = strings.TrimPrefix(message, "yaml: ")
	if strings.HasPrefix(message, "unknown anchor") {
		message = "an alias of an unknown anchor"
	}
	r.add(max(line, 1), "", "not valid YAML: %s", message)
}

// references notes the lines with anchors and aliases: with them one text can
// stand in many places, which a reviewer does not see.
func (r *reader) references(n *yaml.Node) {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		if r.none() || r.list[len(r.list)-1].Line != n.Line {
			r.add(n.Line, "", "anchors and aliases are not allowed")
		}
	}
	for _, child := range n.Content {
		r.references(child)
	}
}

// A mapping is a YAML mapping with known keys.
type mapping struct {
	r      *reader
	line   int
	path   string
	values map[string]*yaml.Node
	wrong  bool // it is no mapping, which is noted: nothing is missing from it
}

// mapping reads n as a mapping that may hold the given keys only.
func (r *reader) mapping(n *yaml.Node, path string, keys ...string) mapping {
	m := mapping{r: r, line: n.Line, path: path, values: map[string]*yaml.Node{}}
	if n.Kind != yaml.MappingNode {
		r.add(n.Line, path, "want keys with values, found %s", kindOf(n))
		m.wrong = true
		return m
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" || !slices.Contains(keys, key.Value):
			r.add(key.Line, path, "unknown key%s; known here: %s", quote(key.Value), strings.Join(keys, ", "))
		case m.values[key.Value] != nil:
			r.add(key.Line, m.in(key.Value), "the key stands here twice")
		default:
			m.values[key.Value] = value
		}
	}
	return m
}

func (m mapping) in(key string) string { return join(m.path, key) }

// has reports whether the key is there.
func (m mapping) has(key string) bool { return m.values[key] != nil }

// need returns the value of a key, or nil after noting that it is missing.
func (m mapping) need(key string) *yaml.Node {
	n := m.values[key]
	if n == nil && !m.wrong {
		m.r.add(m.line, m.in(key), "missing")
	}
	return n
}

// scalar returns the text of a scalar of the given YAML type.
func (r *reader) scalar(n *yaml.Node, path, tag, want string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != tag {
		r.add(n.Line, path, "want %s, found %s", want, kindOf(n))
		return "", false
	}
	return n.Value, true
}

// word reads an optional text without any rule of its own, such as a pattern.
func (m mapping) word(key string) string {
	n := m.values[key]
	if n == nil {
		return ""
	}
	s, _ := m.r.scalar(n, m.in(key), "!!str", "text")
	return s
}

// prose reads text for people: not empty, no control characters but line ends.
func (r *reader) prose(n *yaml.Node, path string, limit int) string {
	s, ok := r.scalar(n, path, "!!str", "text")
	if !ok {
		return ""
	}
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		r.add(n.Line, path, "the text is empty")
	case len(s) > limit:
		r.add(n.Line, path, "longer than %d bytes", limit)
	case strings.ContainsFunc(s, func(c rune) bool { return unicode.IsControl(c) && c != '\n' }):
		r.add(n.Line, path, "the text holds a control character")
	}
	return s
}

// integer reads an optional whole number within limits; 0 when absent.
func (m mapping) integer(key string, least, most int) int {
	n := m.values[key]
	if n == nil {
		return 0
	}
	s, ok := m.r.scalar(n, m.in(key), "!!int", "a whole number")
	if !ok {
		return 0
	}
	number, err := strconv.Atoi(s)
	if err != nil || number < least || number > most {
		if least == most {
			m.r.add(n.Line, m.in(key), "want %d", least)
		} else {
			m.r.add(n.Line, m.in(key), "want a whole number from %d to %d", least, most)
		}
		return 0
	}
	return number
}

// each calls read for every element of the list under key. A missing key is
// an empty list; whether that will do is the caller's question.
func (m mapping) each(key string, read func(n *yaml.Node, path string)) {
	n := m.values[key]
	if n == nil {
		return
	}
	if n.Kind != yaml.SequenceNode {
		m.r.add(n.Line, m.in(key), "want a list, found %s", kindOf(n))
		return
	}
	for i, element := range n.Content {
		read(element, fmt.Sprintf("%s[%d]", m.in(key), i))
	}
}

// filled notes a list that is missing or empty, unless it was no list at all.
func (m mapping) filled(key string, length int, why string) {
	if length > 0 || m.wrong {
		return
	}
	switch n := m.values[key]; {
	case n == nil:
		m.r.add(m.line, m.in(key), "missing: %s", why)
	case n.Kind == yaml.SequenceNode:
		m.r.add(n.Line, m.in(key), "empty: %s", why)
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys with values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		switch n.ShortTag() {
		case "!!str":
			return "text"
		case "!!int":
			return "a whole number"
		case "!!float":
			return "a number with a point"
		case "!!bool":
			return "true or false"
		case "!!null":
			return "nothing"
		case "!!timestamp":
			return "a date"
		}
	}
	return "something else"
}

var quotable = regexp.MustCompile(`^[a-z][A-Za-z0-9_]*(\.[a-z][A-Za-z0-9_]*)*(\.\*)?$`)

// quote returns ` "name"` for what looks like a name, and nothing for any
// other text: what was written in the wrong place may be anything.
func quote(s string) string {
	if len(s) > maxName || !quotable.MatchString(s) {
		return ""
	}
	return ` "` + s + `"`
}

// such returns `kind "name"` for what looks like a name, else "such kind".
func such(kind, s string) string {
	if q := quote(s); q != "" {
		return kind + q
	}
	return "such " + kind
}
