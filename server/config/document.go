package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	syntaxLine = regexp.MustCompile(`^yaml: line (\d+): `)
	keyForm    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
)

// document returns the top node of the only document in doc, or nil after
// noting why there is none to use.
func (f *findings) document(doc []byte) *yaml.Node {
	if len(doc) > MaxDocument {
		f.add(1, "", "the file has more than %d bytes", MaxDocument)
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(doc))
	var root, second yaml.Node
	switch err := decoder.Decode(&root); {
	case errors.Is(err, io.EOF):
		f.add(1, "", "the file is empty")
		return nil
	case err != nil:
		f.syntax(err)
		return nil
	}
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		f.syntax(err)
		return nil
	default:
		f.add(second.Line, "", "a second document in the file; one is allowed")
		return nil
	}
	if f.decorations(&root); len(f.list) > 0 {
		return nil
	}
	return root.Content[0]
}

// syntax notes an error of the YAML parser. Its texts speak of the syntax;
// those that quote the file are left out.
func (f *findings) syntax(err error) {
	line, message := 1, err.Error()
	if found := syntaxLine.FindStringSubmatch(message); found != nil {
		line, _ = strconv.Atoi(found[1])
		message = message[len(found[0]):]
	}
	message = strings.TrimPrefix(message, "yaml: ")
	if strings.HasPrefix(message, "unknown anchor") {
		message = "an alias of an unknown anchor"
	}
	f.add(max(line, 1), "", "not valid YAML: %s", message)
}

// decorations notes what makes a text mean something else than it shows.
func (f *findings) decorations(n *yaml.Node) {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		f.add(n.Line, "", "anchors and aliases are not allowed")
	case n.Style&yaml.TaggedStyle != 0:
		f.add(n.Line, "", "tags are not allowed")
	}
	for _, child := range n.Content {
		f.decorations(child)
	}
}

// section is a YAML mapping with known keys.
type section struct {
	f      *findings
	path   string
	line   int
	values map[string]*yaml.Node
	wrong  bool // it is missing or no mapping, which is noted: nothing is missing from it
}

// section reads n as a mapping that may hold the given keys only. A nil n is
// a section that is not in the file.
func (f *findings) section(n *yaml.Node, path string, keys ...string) section {
	s := section{f: f, path: path, values: map[string]*yaml.Node{}, wrong: true}
	if n == nil {
		return s
	}
	s.line = n.Line
	if n.Kind != yaml.MappingNode {
		f.add(n.Line, path, "want %s, found %s", strings.Join(keys, ", "), kindOf(n))
		return s
	}
	s.wrong = false
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" || !slices.Contains(keys, key.Value):
			f.add(key.Line, path, "unknown key%s; known here: %s", quote(key), strings.Join(keys, ", "))
		case s.values[key.Value] != nil:
			f.add(key.Line, s.in(key.Value), "the key stands here twice")
		default:
			s.values[key.Value] = value
		}
	}
	return s
}

// elements returns the elements of a list of at most most; a nil n is an empty
// one.
func (f *findings) elements(n *yaml.Node, path string, most int) []*yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		f.add(n.Line, path, "want a list, found %s", kindOf(n))
		return nil
	}
	if len(n.Content) > most {
		f.add(n.Line, path, "the list has more than %d elements", most)
		return nil
	}
	return n.Content
}

func (s section) in(key string) string {
	if s.path == "" {
		return key
	}
	return s.path + "." + key
}

// need returns the value of a key, or nil after noting that it is missing.
func (s section) need(key, why string) *yaml.Node {
	n := s.values[key]
	if n == nil && !s.wrong {
		s.f.add(s.line, s.in(key), "missing: %s", why)
	}
	return n
}

// scalar returns the text of a scalar of the given YAML type; nil is absent.
func (s section) scalar(n *yaml.Node, key, tag, want string) (string, bool) {
	if n == nil {
		return "", false
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() != tag {
		s.f.add(n.Line, s.in(key), "want %s, found %s", want, kindOf(n))
		return "", false
	}
	return n.Value, true
}

// quote returns ` "name"` for what looks like a key, and nothing for any other
// text: what was written in the wrong place may be a secret.
func quote(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || !keyForm.MatchString(n.Value) {
		return ""
	}
	return " " + strconv.Quote(n.Value)
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
