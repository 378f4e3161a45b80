package config

import (
	"bytes"
	_ "embed" // the text of the example
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
)

//go:embed example.tmpl
var exampleText string

// Example writes a configuration with a comment at each key, as `cloakroomd
// init` leaves it: Parse of it gives c back. Paths are written as they stand
// in c; relative ones will start from the folder of the file.
func Example(c *Config) ([]byte, error) {
	t, err := template.New("example").Funcs(template.FuncMap{
		"yaml": scalarText, "short": short, "level": levelName, "clock": clockText, "day": dayName, "number": numberText,
		"period": periodText, "provider": providerText, "epochs": epochsText,
	}).Parse(exampleText)
	if err != nil {
		return nil, fmt.Errorf("the example of the configuration: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, c); err != nil {
		return nil, fmt.Errorf("the example of the configuration: %w", err)
	}
	return b.Bytes(), nil
}

var plainScalar = regexp.MustCompile(`^[A-Za-z0-9_./][A-Za-z0-9_./:-]*$`)

// scalarText writes a text so that YAML reads it back as the same text: bare
// where that is safe, else as JSON, which is YAML too.
func scalarText(s string) (string, error) {
	var n yaml.Node
	if plainScalar.MatchString(s) && yaml.Unmarshal([]byte("k: "+s+"\n"), &n) == nil {
		if v := n.Content[0].Content[1]; v.Kind == yaml.ScalarNode && v.ShortTag() == "!!str" && v.Value == s {
			return s, nil
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

func levelName(level slog.Level) string {
	for name, l := range levels {
		if l == level {
			return name
		}
	}
	return strings.ToLower(level.String())
}
