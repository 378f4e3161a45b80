package webhook

import "fmt"

// Sign signs with the secrets of a file's content, and says how they print.
func Sign(file []byte, id string, timestamp int64, body []byte) (signature, printed string, err error) {
	s, err := parseSecrets(file)
	if err != nil {
		return "", "", err
	}
	return s.sign(id, timestamp, body), fmt.Sprintf("%v %s %+v %#v", s, s, s, s), nil
}
