package command

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// maxInput bounds what is read from a file or standard input at once. Values are
// at most 64 KiB and policies at most 1 MiB; the vault says which limit counts.
const maxInput = 16 << 20

// valueFlags are the flags that give the values of a record.
type valueFlags struct {
	fields []string
	data   []string
	file   string
}

const valueHelp = `Values:
  --field email=ada@example.org   the value stands on the command line, where other
                                  users of the machine can see it
  --field email=@FILE             the value is the content of FILE, without the
                                  newline at its end
  --field email=@-                the same from standard input
  --field handle=@@ada            a value that begins with @
  --data photo=@FILE              the bytes of FILE, for fields of type bytes
  --file values.json              one JSON object: {"email": "ada@example.org",
                                  "phone": ["+4930111", "+4930222"],
                                  "photo": {"base64": "AAEC"}}; - is standard input
A field that is given several times gets several values.`

func (f *valueFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.fields, "field", nil, "a value, as `name=value`, name=@FILE or name=@-")
	cmd.Flags().StringArrayVar(&f.data, "data", nil, "a value of type bytes, as `name=@FILE` or name=@-")
	cmd.Flags().StringVar(&f.file, "file", "", "a JSON `file` of values; - is standard input")
}

// read returns the values given. Its errors name flags and fields, no values.
func (a *app) readValues(cmd *cobra.Command, f valueFlags) (cloakroom.Fields, error) {
	fields := cloakroom.Fields{}
	stdin := &once{source: a.Stdin}
	if f.file != "" {
		text, err := readFile(stdin, f.file)
		if err != nil {
			return nil, wrongUse(cmd, "--file: %v", err)
		}
		if err := decodeFields(text, fields); err != nil {
			return nil, wrongUse(cmd, "--file: %v", err)
		}
	}
	for i, text := range f.fields {
		name, value, found := strings.Cut(text, "=")
		if !found || name == "" {
			return nil, wrongUse(cmd, "--field number %d is not of the form name=value", i+1)
		}
		file, isFile := strings.CutPrefix(value, "@")
		switch {
		case isFile && strings.HasPrefix(file, "@"):
			value = file
		case isFile:
			content, err := readFile(stdin, file)
			if err != nil {
				return nil, wrongUse(cmd, "--field %s: %v", name, err)
			}
			value = line(content)
		}
		fields[name] = append(fields[name], cloakroom.Text(value))
	}
	for i, text := range f.data {
		name, file, found := strings.Cut(text, "=@")
		if !found || name == "" {
			return nil, wrongUse(cmd, "--data number %d is not of the form name=@FILE", i+1)
		}
		content, err := readFile(stdin, file)
		if err != nil {
			return nil, wrongUse(cmd, "--data %s: %v", name, err)
		}
		fields[name] = append(fields[name], cloakroom.Bytes(content))
	}
	return fields, nil
}

// decodeFields reads the JSON form of values into fields.
func decodeFields(text []byte, fields cloakroom.Fields) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil {
		// The texts of encoding/json quote what they found.
		return errors.New("it is not one JSON object")
	}
	for name, raw := range object {
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil {
			list = []json.RawMessage{raw}
		} else if list == nil {
			return fmt.Errorf("field %q is null; an empty list means no value", name)
		}
		fields[name] = make([]cloakroom.Value, 0, len(list))
		for _, item := range list {
			v, err := decodeValue(item)
			if err != nil {
				return fmt.Errorf("field %q: %w", name, err)
			}
			fields[name] = append(fields[name], v)
		}
	}
	return nil
}

// decodeValue reads one value: a string, {"base64": …}, or a number or boolean,
// which is taken as it is written.
func decodeValue(raw json.RawMessage) (cloakroom.Value, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil && raw[0] == '"' {
		return cloakroom.Text(text), nil
	}
	var number json.Number
	var truth bool
	if raw[0] != 'n' && (json.Unmarshal(raw, &number) == nil || json.Unmarshal(raw, &truth) == nil) {
		return cloakroom.Text(string(raw)), nil
	}
	var binary struct {
		Base64 *string `json:"base64"`
	}
	strict := json.NewDecoder(bytes.NewReader(raw))
	strict.DisallowUnknownFields()
	if strict.Decode(&binary) == nil && binary.Base64 != nil {
		data, err := base64.StdEncoding.DecodeString(*binary.Base64)
		if err != nil {
			return cloakroom.Value{}, errors.New("the base64 is wrong")
		}
		return cloakroom.Bytes(data), nil
	}
	return cloakroom.Value{}, errors.New(`a value is a string, a number, true, false or {"base64": "…"}`)
}

// once lets standard input be read a single time: a second reader would get
// nothing and store an empty value.
type once struct {
	source io.Reader
	used   bool
}

// readFile reads a whole file, or standard input for "-".
func readFile(stdin *once, name string) ([]byte, error) {
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return readLimited(file)
	}
	if stdin.used {
		return nil, errors.New("standard input can be used once")
	}
	stdin.used = true
	return readLimited(stdin.source)
}

func readLimited(r io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err == nil && len(content) > maxInput {
		err = fmt.Errorf("it is larger than %d MiB", maxInput>>20)
	}
	return content, err
}

// line returns text without the newline at its end, which editors and echo add.
func line(content []byte) string {
	text := strings.TrimSuffix(string(content), "\n")
	return strings.TrimSuffix(text, "\r")
}
