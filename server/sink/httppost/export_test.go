package httppost

// RetryAfter reads the header of that name.
var RetryAfter = retryAfter

// Loopback is asked before each connection over http.
func Loopback(address string) error { return loopback("tcp", address, nil) }
