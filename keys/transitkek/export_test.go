package transitkek

import (
	"context"
	"net/http"
	"time"
)

// OpenOver and OpenEpochsOver open with another transport and another pause
// after the first failure. A nil transport is the usual one.
func OpenOver(ctx context.Context, o Options, rt http.RoundTripper, pause time.Duration) (*KEK, error) {
	return open(ctx, o, rt, pause)
}

// OpenEpochsOver is OpenOver of epochs.
func OpenEpochsOver(ctx context.Context, o Options, rt http.RoundTripper, pause time.Duration) (*Epochs, error) {
	return openEpochs(ctx, o, rt, pause)
}

// ParseCiphertext lets the fuzzer at the form of ciphertexts.
var ParseCiphertext func(text string) (version, size int, err error) = parse
