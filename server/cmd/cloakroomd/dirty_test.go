package main_test

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// auditor is a role that sees what the roles of the demo do not, for the test
// to compare.
const auditor = `
  - name: auditor
    rules:
      - effect: allow
        actions: [reveal]
        fields: [customers.*]
        purposes: [fraud_prevention, delivery, accounting]
        views: [plain]

# Who calls, as their certificates say.
principals:
  - id: spiffe://cloakroom.example/stranger
    roles: [auditor]
`

// withAuditor is the policy of the demo, in which "stranger" is the auditor.
func withAuditor(t *testing.T) []byte {
	t.Helper()
	document, err := os.ReadFile(demoData + "policy.yaml")
	check(t, err)
	changed := strings.Replace(string(document), "\n# Who calls, as their certificates say.\nprincipals:\n", auditor, 1)
	if changed == string(document) {
		t.Fatal("the policy of the demo has no principals where they are expected")
	}
	return []byte(changed)
}

// dirtyRow is a row of the dirty customers by the names of its columns.
type dirtyRow map[string]string

func dirtyRows(t *testing.T) []dirtyRow {
	t.Helper()
	f, err := os.Open(demoData + "customers_dirty.csv")
	check(t, err)
	defer func() { _ = f.Close() }()
	lines, err := csv.NewReader(f).ReadAll()
	check(t, err)
	var rows []dirtyRow
	for _, line := range lines[1:] {
		row := dirtyRow{}
		for i, column := range lines[0] {
			row[column] = line[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// TestDirtyImport: of 500 rows 418 are stored, in normal form, and 82 refused,
// each with field and rule and without a word of what stands in it.
func TestDirtyImport(t *testing.T) {
	t.Parallel()
	p := serve(t, initVault(t))
	if _, err := p.as("admin").ApplyPolicy(t.Context(), withAuditor(t)); err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(t.TempDir(), "failures.csv")
	r := p.cli("shop", "import", customers, demoData+"customers_dirty.csv", "--id-column", "customer_id",
		"--map", "lifetime_value_eur=lifetime_value", "--map", "latitude+longitude=location",
		"--errors", list, "--output", "json").want(t, 4, "82 rows were not stored")
	if got := strings.Join(strings.Fields(r.out), ""); !strings.Contains(got, `"created":418`) || !strings.Contains(got, `"failed":82`) {
		t.Errorf("import says %s", r.out)
	}
	rows := dirtyRows(t)
	refused := wantRefusals(t, list, rows)
	wantNoEcho(t, r.out+r.errors+p.log.String(), rows, refused)

	stored := map[string]bool{}
	for record, err := range p.as("shop").List(t.Context(), customers) {
		check(t, err)
		stored[record.SubjectID] = true
	}
	if len(stored) != 418 {
		t.Errorf("%d records are there", len(stored))
	}
	client := p.as("stranger")
	for i, row := range rows {
		if stored[row["customer_id"]] == refused[i] {
			t.Errorf("row %d: refused %t, stored %t", i+2, refused[i], stored[row["customer_id"]])
		}
		if !refused[i] {
			wantNormal(t, client, i, row)
		}
	}
	p.stop()
}

// wantRefusals reads the errors file and returns which rows it names.
func wantRefusals(t *testing.T, list string, rows []dirtyRow) map[int]bool {
	t.Helper()
	text, err := os.ReadFile(list)
	check(t, err)
	lines, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	check(t, err)
	if got := strings.Join(lines[0], ","); got != "row,line,field,rule,reason,message" {
		t.Errorf("the errors file begins with %s", got)
	}
	counts, refused := map[string]int{}, map[int]bool{}
	for _, line := range lines[1:] {
		n, err := strconv.Atoi(line[0])
		check(t, err)
		refused[n-2] = true // the header is row 1
		counts[line[2]+" "+line[3]]++
	}
	want := map[string]int{
		"email email_syntax": 18, "email too_long": 13, "phone phone_syntax": 10, "birth_date date_syntax": 10,
		"birth_date date_out_of_range": 12, "iban iban_check_digits": 10, "card_pan luhn": 9,
	}
	if fmt.Sprint(counts) != fmt.Sprint(want) {
		t.Errorf("refusals by field and rule:\n%v, want\n%v", counts, want)
	}
	wantNoEcho(t, string(text), rows, refused)
	return refused
}

// wantNoEcho wants no cell of a refused row in a text. Cells too short to say
// anything are left out, and those that are words of a message.
func wantNoEcho(t *testing.T, text string, rows []dirtyRow, refused map[int]bool) {
	t.Helper()
	for i := range refused {
		for column, cell := range rows[i] {
			if len(cell) >= 5 && cell != "false" && strings.Contains(text, cell) {
				t.Errorf("row %d: %s is echoed", i+2, column)
			}
		}
	}
}

// wantNormal wants a stored row to be revealed in normal form.
func wantNormal(t *testing.T, client *cloakroom.Client, i int, row dirtyRow) {
	t.Helper()
	record, err := client.ReadRecord(t.Context(), customers, row["customer_id"], "fraud_prevention")
	check(t, err)
	got := map[string]string{}
	for _, f := range record.Fields {
		for _, it := range f.Items {
			got[f.Field] = it.Value.ExposeText()
		}
	}
	phone := strings.TrimSpace(row["phone"])
	if rest, ok := strings.CutPrefix(phone, "00"); ok {
		phone = "+" + rest
	}
	for _, country := range []string{"+49", "+86"} { // zeros are dialled within the country only
		if rest, ok := strings.CutPrefix(phone, country); ok {
			phone = country + strings.TrimLeft(rest, "0")
		}
	}
	for field, want := range map[string]string{
		"email": strings.ToLower(strings.TrimSpace(row["email"])), "phone": phone,
		"birth_date": row["birth_date"], "card_pan": row["card_pan"], "full_name": row["full_name"], "national_id": row["national_id"],
	} {
		if got[field] != want {
			t.Errorf("row %d: %s is revealed in another form than expected", i+2, field)
		}
	}
}
