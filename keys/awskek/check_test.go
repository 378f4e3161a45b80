package awskek_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/awskek"
)

// Check has the rules of Open and OpenEpochs, and reads nothing.
func TestCheck(t *testing.T) {
	const arn = "arn:aws:kms:eu-central-1:111122223333:key/a"
	nobody := awskek.Access{Profile: "nobody-has-it"}
	for name, c := range map[string]struct {
		o     interface{ Check() error }
		field string // empty: it is good
	}{
		"key":              {awskek.Options{KeyARN: arn, Access: nobody}, ""},
		"alias":            {awskek.Options{KeyARN: "alias/x"}, "KeyARN"},
		"another region":   {awskek.Options{KeyARN: arn, Access: awskek.Access{Region: "eu-west-1"}}, "Region"},
		"endpoint":         {awskek.Options{KeyARN: arn, Access: awskek.Access{Endpoint: "http://example.org"}}, "Endpoint"},
		"epochs":           {awskek.EpochOptions{Prefix: "p", Access: awskek.Access{Region: "r"}}, ""},
		"no prefix":        {awskek.EpochOptions{Access: awskek.Access{Region: "r"}}, "Prefix"},
		"no region":        {awskek.EpochOptions{Prefix: "p"}, "Region"},
		"half a day's end": {awskek.EpochOptions{Prefix: "p", DestructionDelay: 180 * time.Hour, Access: awskek.Access{Region: "r"}}, "DestructionDelay"},
	} {
		err := c.o.Check()
		if c.field == "" && err != nil || c.field != "" && (!errors.Is(err, keys.ErrUsage) || !strings.Contains(err.Error(), c.field)) {
			t.Errorf("%s: err = %v, want %q", name, err, c.field)
		}
	}
}
