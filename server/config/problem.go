package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake of a configuration.
type Problem struct {
	// Line of the file, counted from 1; 0 for what does not stand in the file.
	Line int
	// Path of the key, such as "tls.client_ca"; empty for the file as a whole.
	Path string
	// Message says what is wrong, in one sentence without a full stop. It may
	// name a path or an address, never a secret.
	Message string
}

// String returns "line 4: path: message".
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	return b.String() + p.Message
}

// Problems is the error for a configuration with mistakes: at least one, in
// the order of the file.
type Problems []Problem

// Error lists every problem on a line of its own.
func (p Problems) Error() string {
	var b strings.Builder
	if len(p) == 1 {
		b.WriteString("the configuration has a mistake:")
	} else {
		fmt.Fprintf(&b, "the configuration has %d mistakes:", len(p))
	}
	for _, one := range p {
		b.WriteString("\n  " + one.String())
	}
	return b.String()
}

// maxProblems bounds the list; a file with more is some other kind of file.
const maxProblems = 100

// findings collects problems.
type findings struct {
	list Problems
	more int
}

func (f *findings) add(line int, path, format string, args ...any) {
	if len(f.list) >= maxProblems {
		f.more++
		return
	}
	f.list = append(f.list, Problem{Line: line, Path: path, Message: fmt.Sprintf(format, args...)})
}

// err returns the problems in the order of their lines, or nil.
func (f *findings) err() error {
	if len(f.list) == 0 {
		return nil
	}
	slices.SortStableFunc(f.list, func(a, b Problem) int { return a.Line - b.Line })
	if f.more > 0 {
		last := f.list[len(f.list)-1].Line
		f.list = append(f.list, Problem{Line: last, Message: fmt.Sprintf("and %d more mistakes", f.more)})
	}
	return f.list
}
