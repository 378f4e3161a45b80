package csvimport

import (
	"encoding/csv"
	"errors"
	"io"
	"strconv"

	"google.golang.org/grpc/codes"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// Failure is a row that was not stored. It never holds a value or the subject's
// id: whoever has the file finds the row by its number.
type Failure struct {
	// Row and Line are those of the Row.
	Row, Line int64
	// Field is the field at fault, if one is.
	Field string
	// Rule is the rule that was broken, such as "luhn", if any.
	Rule string
	// Reason is the contract's reason; for rows that were not sent
	// "INVALID_REQUEST" or "INVALID_VALUE".
	Reason string
	// Message is one sentence.
	Message string
}

// fail makes the failure of a row that is not sent.
func (r Row) fail(field, rule, message string) *Failure {
	reason := "INVALID_REQUEST"
	if rule == "utf8" || rule == "too_long" || rule == "incomplete" {
		reason = "INVALID_VALUE"
	}
	return &Failure{Row: r.Number, Line: r.Line, Field: field, Rule: rule, Reason: reason, Message: message}
}

// refused makes the failure of a row that the vault refused.
func refused(number, line int64, err error) Failure {
	f := Failure{Row: number, Line: line, Reason: codes.Unknown.String()}
	var e *cloakroom.Error
	if errors.As(err, &e) {
		f.Field, f.Rule, f.Reason, f.Message = e.Field, e.Rule, e.Reason, e.Message
	}
	return f
}

// FailureWriter writes failures as CSV with the columns row, line, field, rule,
// reason, message. The header is written with the first failure.
type FailureWriter struct {
	csv   *csv.Writer
	begun bool
}

// NewFailureWriter writes to w.
func NewFailureWriter(w io.Writer) *FailureWriter { return &FailureWriter{csv: csv.NewWriter(w)} }

// Write writes failures and flushes them.
func (w *FailureWriter) Write(failures []Failure) error {
	if len(failures) > 0 && !w.begun {
		w.begun = true
		// An error of csv.Writer stays and is returned by Error below.
		_ = w.csv.Write([]string{"row", "line", "field", "rule", "reason", "message"})
	}
	for _, f := range failures {
		_ = w.csv.Write([]string{
			strconv.FormatInt(f.Row, 10), strconv.FormatInt(f.Line, 10), f.Field, f.Rule, f.Reason, f.Message,
		})
	}
	w.csv.Flush()
	return w.csv.Error()
}
