package demo

import (
	"bytes"
	_ "embed" // the sample files
	"encoding/csv"
	"fmt"
	"strings"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

//go:embed data/customers.csv
var customersCSV []byte

//go:embed data/policy.yaml
var policyYAML []byte

// Policy returns the policy document of the demo.
func Policy() []byte { return bytes.Clone(policyYAML) }

// customer is one row of the sample: what is stored, and every cell as it
// stands in the file.
type customer struct {
	record cloakroom.RecordInput
	cells  []string
}

// renamed maps columns to fields of another name; latitude and longitude make
// one field together.
var renamed = map[string]string{"lifetime_value_eur": "lifetime_value"}

// customers reads the sample.
func customers() ([]customer, error) {
	r := csv.NewReader(bytes.NewReader(customersCSV))
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("the sample customers: %w", err)
	}
	header := rows[0]
	out := make([]customer, 0, len(rows)-1)
	for _, row := range rows[1:] {
		c := customer{record: cloakroom.RecordInput{Fields: cloakroom.Fields{}}, cells: row}
		cell := make(map[string]string, len(row))
		for i, column := range header {
			cell[column] = row[i]
		}
		for column, value := range cell {
			switch column {
			case "customer_id":
				c.record.SubjectID = value
			case "latitude":
				c.record.Fields["location"] = cloakroom.Texts(value + "," + cell["longitude"])
			case "longitude":
			default:
				if name, ok := renamed[column]; ok {
					column = name
				}
				if strings.TrimSpace(value) != "" {
					c.record.Fields[column] = cloakroom.Texts(value)
				}
			}
		}
		out = append(out, c)
	}
	return out, nil
}
