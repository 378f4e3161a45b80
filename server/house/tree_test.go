package house_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/cloakroom-vault/cloakroom"

// A tree is the parsed source of the project.
type tree struct {
	fset  *token.FileSet
	files []*source
	top   []fs.DirEntry // what stands at the top level
	other []*text       // the contract, which is not Go
	// ignored are the patterns of the top level's .gitignore.
	ignored []string
}

// source is one Go file.
type source struct {
	path      string // from the top, with slashes
	dir       string
	ast       *ast.File
	imports   []imported
	lines     int
	test      bool // its name ends in _test.go
	generated bool
	nested    bool // belongs to a module of its own
}

type imported struct {
	path string // an import of the project is from the top, such as "./vault/store"
	line int
}

type text struct {
	path    string
	content string
}

// load parses all Go files but those of testdata and hidden folders.
func load(root fs.FS) (*tree, error) {
	t := &tree{fset: token.NewFileSet()}
	var err error
	if t.top, err = fs.ReadDir(root, "."); err != nil {
		return nil, err
	}
	if content, err := fs.ReadFile(root, ".gitignore"); err == nil {
		t.ignored = strings.Fields(string(content))
	}
	var nested []string
	err = fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if name := d.Name(); p != "." && (name[0] == '.' || name[0] == '_' || name == "testdata" || name == "node_modules" || t.isIgnored(p)) {
				return fs.SkipDir
			}
			if _, err := fs.Stat(root, path.Join(p, "go.mod")); err == nil && p != "." {
				nested = append(nested, p)
			}
			return nil
		case path.Ext(p) == ".proto":
			content, err := fs.ReadFile(root, p)
			t.other = append(t.other, &text{p, string(content)})
			return err
		case path.Ext(p) == ".go":
			return t.parse(root, p, nested)
		}
		return nil
	})
	return t, err
}

func (t *tree) parse(root fs.FS, p string, nested []string) error {
	content, err := fs.ReadFile(root, p)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseFile(t.fset, p, content, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("parse: %w", err)
	}
	s := &source{
		path: p, dir: path.Dir(p), ast: parsed,
		lines:     bytes.Count(content, []byte("\n")),
		test:      strings.HasSuffix(p, "_test.go"),
		generated: ast.IsGenerated(parsed),
		nested:    slices.ContainsFunc(nested, func(dir string) bool { return under(path.Dir(p), dir) }),
	}
	for _, spec := range parsed.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		if rest, ok := strings.CutPrefix(name, module); ok && (rest == "" || rest[0] == '/') {
			name = "." + rest
		}
		s.imports = append(s.imports, imported{name, t.fset.Position(spec.Pos()).Line})
	}
	t.files = append(t.files, s)
	return nil
}

// isIgnored reports whether git ignores an entry of the top level.
func (t *tree) isIgnored(name string) bool {
	for _, pattern := range t.ignored {
		if ok, err := path.Match(strings.Trim(pattern, "/"), name); err == nil && ok {
			return true
		}
	}
	return false
}

// at is the place of a node, for messages.
func (t *tree) at(n ast.Node) string {
	p := t.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// project reports whether an import is one of the project, and its folder.
func (i imported) project() (dir string, ok bool) { return strings.CutPrefix(i.path, "./") }

// under reports whether a folder or import path is prefix or below it.
func under(p, prefix string) bool { return p == prefix || strings.HasPrefix(p, prefix+"/") }

func underAny(p string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return under(p, prefix) })
}

// forTests reports whether a folder is a package that only tests import: a
// suite or a double. Such packages may import testing.
func forTests(dir string) bool {
	return strings.HasSuffix(path.Base(dir), "test") || dir == "clients/go/fakeserver"
}
