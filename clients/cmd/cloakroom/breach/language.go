package breach

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"text/template"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed text
var texts embed.FS

// language is the texts of one language.
type language struct {
	words     words
	templates *template.Template
}

// words are what the templates of a language share.
type words struct {
	// FillIn stands before what only people know, such as "FILL IN".
	FillIn string `yaml:"fill_in"`
	// Time is the form of a time, as the Go package time has it.
	Time string `yaml:"time"`
	// Your stands before the name of a kind of data in a letter.
	Your string `yaml:"your"`
	// Views says how a value was shown, by the name of the view.
	Views map[string]string `yaml:"views"`
	// Categories has the name of each kind of data, and what a person can do, by
	// its category; those below a category share its entry.
	Categories map[string]category `yaml:"categories"`
	// Advice is what every person can do.
	Advice []string `yaml:"advice"`
}

type category struct {
	Name   string `yaml:"name"`
	Advice string `yaml:"advice"`
}

// Languages returns the names of the languages there are.
func Languages() []string {
	var names []string
	folders, err := fs.ReadDir(texts, "text")
	if err != nil {
		return nil // it is built in
	}
	for _, folder := range folders {
		names = append(names, folder.Name())
	}
	return names
}

// CheckLanguage returns ErrLanguage, with the languages there are, for any
// other.
func CheckLanguage(name string) error {
	if slices.Contains(Languages(), name) {
		return nil
	}
	return fmt.Errorf("%w; there is %s", ErrLanguage, strings.Join(Languages(), ", "))
}

// load reads the texts of a language.
func load(name string) (*language, error) {
	if err := CheckLanguage(name); err != nil {
		return nil, err
	}
	l := &language{}
	text, err := texts.ReadFile("text/" + name + "/words.yaml")
	if err == nil {
		err = yaml.Unmarshal(text, &l.words)
	}
	if err == nil {
		l.templates, err = template.New(name).Funcs(template.FuncMap{
			"fill": func(what string) string { return "[" + l.words.FillIn + ": " + what + "]" },
			"time": l.time,
			"join": strings.Join,
			"cell": cell,
		}).ParseFS(texts, "text/"+name+"/*.tmpl")
	}
	if err != nil {
		return nil, fmt.Errorf("the texts of the language %q: %w", name, err)
	}
	return l, nil
}

func (l *language) time(t time.Time) string { return t.UTC().Format(l.words.Time) }

// category returns the entry of a category or of the nearest one above it.
func (l *language) category(name string) (category, bool) {
	for name != "" {
		if c, found := l.words.Categories[name]; found {
			return c, true
		}
		name = name[:max(strings.LastIndexByte(name, '.'), 0)]
	}
	return category{}, false
}

// name is what a field is called: by its category or, when that has no name, by
// its own.
func (l *language) name(field, categoryName string) string {
	if c, found := l.category(categoryName); found {
		return c.Name
	}
	_, name, _ := strings.Cut(field, ".")
	return strings.ReplaceAll(name, "_", " ")
}

// views says how values were shown.
func (l *language) views(names []string) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = name
		if text, found := l.words.Views[name]; found {
			texts[i] = text
		}
	}
	return strings.Join(texts, ", ")
}

// cell makes text fit a cell of a Markdown table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "\r", " ").Replace(text)
}
