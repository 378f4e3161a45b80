package awskek

import (
	"context"
	"crypto/fips140"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// minSecret is the length of the shortest secret access key that may sign: the
// signature's first HMAC key is "AWS4" and the secret, and FIPS 140 asks for
// 112 bits. AWS gives out 40 characters.
const minSecret = 112/8 - len("AWS4")

// errShortSecret: under GODEBUG fips140=only the SDK would panic while it
// signs.
var errShortSecret = errors.New("the secret access key is shorter than FIPS 140 allows")

// longEnough keeps short secrets from the SDK where they are not allowed.
type longEnough struct{ from aws.CredentialsProvider }

// Retrieve implements aws.CredentialsProvider.
func (l longEnough) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := l.from.Retrieve(ctx)
	if err == nil && len(c.SecretAccessKey) < minSecret {
		return aws.Credentials{}, errShortSecret
	}
	return c, err
}

// guarded wraps a provider where the process may use nothing that FIPS 140
// does not approve.
func guarded(from aws.CredentialsProvider) aws.CredentialsProvider {
	if from == nil || !fips140.Enforced() {
		return from
	}
	return longEnough{from}
}
