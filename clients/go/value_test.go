package cloakroom_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

func TestValueNeverPrints(t *testing.T) {
	const secret = "ada@example.org"
	type inner struct{ hidden cloakroom.Value } // fmt cannot call methods of it
	for name, v := range map[string]cloakroom.Value{
		"text":  cloakroom.Text(secret),
		"bytes": cloakroom.Bytes([]byte(secret)),
	} {
		record := cloakroom.RecordInput{SubjectID: "C1", Fields: cloakroom.Fields{"email": {v}}}
		var printed bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
			fmt.Fprintf(&printed, verb+verb+verb+verb, v, &v, record, cloakroom.Revealed{Value: v})
			fmt.Fprintf(&printed, verb+verb, inner{v}, []inner{{v}})
		}
		text, err := json.Marshal([]any{v, record, cloakroom.Revealed{Value: v}})
		if err != nil {
			t.Fatal(err)
		}
		printed.Write(text)
		slog.New(slog.NewTextHandler(&printed, nil)).Info("x", "value", v, "record", record)
		slog.New(slog.NewJSONHandler(&printed, nil)).Info("x", "value", v, "record", record)
		all := printed.String()
		for _, leak := range []string{secret, "616461", "[97 100 97", "0x61, 0x64, 0x61", "YWRh"} {
			if strings.Contains(strings.ToLower(all), strings.ToLower(leak)) {
				t.Errorf("%s: a printed form holds %q", name, leak)
			}
		}
		if v.ExposeText() != secret || string(v.ExposeBytes()) != secret || v.Len() != len(secret) {
			t.Errorf("%s: the content is not what was given", name)
		}
	}
}

func TestValueEqual(t *testing.T) {
	var zero cloakroom.Value
	all := []cloakroom.Value{zero, cloakroom.Text(""), cloakroom.Text("a"), cloakroom.Bytes(nil), cloakroom.Bytes([]byte("a"))}
	same := []cloakroom.Value{zero, cloakroom.Text(""), cloakroom.Text("a"), cloakroom.Bytes([]byte{}), cloakroom.Bytes([]byte("a"))}
	for i := range all {
		for j := range same {
			if all[i].Equal(same[j]) != (i == j) {
				t.Errorf("value %d and %d: Equal is %v", i, j, i != j)
			}
		}
		if all[i].IsZero() != (i == 0) || all[i].IsBytes() != (i >= 3) {
			t.Errorf("value %d: wrong kind", i)
		}
	}
	if zero.ExposeText() != "" || zero.ExposeBytes() != nil || zero.Len() != 0 {
		t.Error("the zero Value holds something")
	}
}

func TestParseView(t *testing.T) {
	for _, name := range []string{"", "plain", "masked", "generalised", "token", "exists"} {
		if v, err := cloakroom.ParseView(name); err != nil || string(v) != name {
			t.Errorf("ParseView(%q) = %q, %v", name, v, err)
		}
	}
	if _, err := cloakroom.ParseView("Plain"); err == nil || !strings.Contains(err.Error(), "plain, masked") {
		t.Errorf("error %v must name the views", err)
	}
}
