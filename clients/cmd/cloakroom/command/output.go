package command

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// print writes a result in the form asked for.
func (a *app) print(object any, table func(*tableWriter)) error {
	if a.output == "json" {
		e := json.NewEncoder(a.Stdout)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(object)
	}
	t := &tableWriter{w: tabwriter.NewWriter(a.Stdout, 0, 8, 2, ' ', 0)}
	table(t)
	return t.w.Flush()
}

// tableWriter writes aligned rows.

type tableWriter struct{ w *tabwriter.Writer }

// row writes cells; an empty cell is shown as "-".
func (t *tableWriter) row(cells ...string) {
	for i, cell := range cells {
		if cell == "" {
			cell = "-"
		}
		cells[i] = printable(cell)
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

// gap ends a block, so that the next one is aligned on its own.
func (t *tableWriter) gap() {
	_ = t.w.Flush() // its error stays in the writer and comes with the last Flush
	_, _ = io.WriteString(t.w, "\n")
	_ = t.w.Flush()
}

// printable escapes text that would break a table or drive a terminal.
func printable(text string) string {
	clean := func(r rune) bool { return r == ' ' || unicode.IsGraphic(r) && r != unicode.ReplacementChar }
	for _, r := range text {
		if !clean(r) {
			return strconv.QuoteToGraphic(text)
		}
	}
	return text
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// recordJSON is a record in JSON.
type recordJSON struct {
	Collection string            `json:"collection"`
	SubjectID  string            `json:"subject_id"`
	ETag       string            `json:"etag"`
	CreateTime string            `json:"create_time"`
	UpdateTime string            `json:"update_time"`
	Fields     []fieldTokensJSON `json:"fields"`
}

type fieldTokensJSON struct {
	Field  string   `json:"field"`
	Tokens []string `json:"tokens"`
}

func jsonRecord(r cloakroom.Record) recordJSON {
	fields := make([]fieldTokensJSON, len(r.Fields))
	for i, f := range r.Fields {
		fields[i] = fieldTokensJSON(f)
	}
	return recordJSON{r.Collection, r.SubjectID, r.ETag, stamp(r.CreateTime), stamp(r.UpdateTime), fields}
}

func tableRecord(t *tableWriter, r cloakroom.Record) {
	t.row("SUBJECT", r.SubjectID)
	t.row("ETAG", r.ETag)
	t.row("CREATED", stamp(r.CreateTime))
	t.row("UPDATED", stamp(r.UpdateTime))
	if len(r.Fields) == 0 {
		return
	}
	t.gap()
	t.row("FIELD", "TOKEN")
	for _, f := range r.Fields {
		for _, token := range f.Tokens {
			t.row(f.Field, token)
		}
	}
}

// errorJSON is the error of an item in JSON.
type errorJSON struct {
	Code    string `json:"code"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message"`
	Field   string `json:"field,omitempty"`
	Rule    string `json:"rule,omitempty"`
}

func jsonError(err error) *errorJSON {
	var e *cloakroom.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return &errorJSON{e.Code.String(), e.Reason, e.Message, e.Field, e.Rule}
	}
	return &errorJSON{Code: "Unknown", Message: err.Error()}
}

// revealedJSON is a revealed value in JSON: value or value_base64 or error.
type revealedJSON struct {
	Token  string     `json:"token,omitempty"`
	View   string     `json:"view,omitempty"`
	Value  *string    `json:"value,omitempty"`
	Base64 *string    `json:"value_base64,omitempty"`
	Error  *errorJSON `json:"error,omitempty"`
}

func jsonRevealed(token string, r cloakroom.Revealed) revealedJSON {
	out := revealedJSON{Token: token, Error: jsonError(r.Err)}
	if r.Err != nil {
		return out
	}
	out.View = string(r.View)
	if r.Value.IsBytes() {
		text := base64.StdEncoding.EncodeToString(r.Value.ExposeBytes())
		out.Base64 = &text
	} else {
		text := r.Value.ExposeText()
		out.Value = &text
	}
	return out
}

// cells returns the view and the value, or the error, for a table.
func cells(r cloakroom.Revealed) (view, value string) {
	switch {
	case r.Err != nil:
		return "", "error: " + r.Err.Error()
	case r.Value.IsBytes():
		return string(r.View), "base64:" + base64.StdEncoding.EncodeToString(r.Value.ExposeBytes())
	}
	return string(r.View), r.Value.ExposeText()
}
