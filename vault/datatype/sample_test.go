package datatype_test

import (
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom-vault/cloakroom/vault/datatype"
)

// sampleColumns says how the columns of the sample customers are typed.
// "coordinates" is made of two columns.
var sampleColumns = map[string]string{
	"full_name": "person_name", "email": "email", "phone": "phone", "birth_date": "birth_date",
	"national_id": "national_id", "street": "street", "city": "city", "postal_code": "postal_code",
	"country": "country", "iban": "iban", "card_pan": "payment_card", "ip_address": "ip_address",
	"coordinates": "coordinates", "marketing_email_opt_in": "boolean", "marketing_sms_opt_in": "boolean",
	"analytics_opt_in": "boolean", "signed_up_at": "timestamp", "lifetime_value_eur": "decimal",
	"favourite_category": "string", "locale": "language",
}

// sample is what a file of customers came to.
type sample struct {
	Rows, Refused, EmptyEmails int
	Rules                      map[string]int // "column rule"
}

func readSample(t *testing.T, file string) sample {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "server", "demo", "data", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]*datatype.Type{}
	for column, name := range sampleColumns {
		types[column] = compile(t, datatype.Spec{Type: name})
	}
	s := sample{Rules: map[string]int{}}
	for i, line := range lines[1:] {
		cells := map[string]string{}
		for c, column := range lines[0] {
			cells[column] = line[c]
		}
		cells["coordinates"] = cells["latitude"] + "," + cells["longitude"]
		s.Rows++
		fine := true
		for column, typ := range types {
			if cells[column] == "" { // a caller stores no empty cell
				if column != "email" {
					t.Errorf("%s row %d: %s is empty", file, i+1, column)
				}
				s.EmptyEmails++
				continue
			}
			canonical, err := typ.Canonical([]byte(cells[column]), now)
			if err == nil {
				checkForms(t, typ, canonical)
				continue
			}
			fine = false
			var refused *datatype.RuleError
			if !errors.As(err, &refused) {
				t.Fatalf("%s row %d: %s: %v is no RuleError", file, i+1, column, err)
			}
			s.Rules[column+" "+refused.Rule]++
		}
		if !fine {
			s.Refused++
		}
	}
	return s
}

func TestCleanSamplePassesEntirely(t *testing.T) {
	want := sample{Rows: 2000, Rules: map[string]int{}}
	if diff := cmp.Diff(want, readSample(t, "customers.csv")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestDirtySampleIsRefusedForItsFaultsOnly(t *testing.T) {
	want := sample{
		Rows: 500, Refused: 82, EmptyEmails: 12,
		Rules: map[string]int{
			"email email_syntax":           18, // "name at example.org"
			"email too_long":               13, // 312 characters
			"phone phone_syntax":           10, // "call me"
			"birth_date date_syntax":       10, // "31/02/1990"
			"birth_date date_out_of_range": 12, // "1890-01-01"
			"iban iban_check_digits":       10,
			"card_pan luhn":                9,
		},
	}
	if diff := cmp.Diff(want, readSample(t, "customers_dirty.csv")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
