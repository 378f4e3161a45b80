// Package tlsfiles keeps a server's TLS configuration in step with its three
// PEM files: the certificate with its chain, the key, and the authorities that
// sign clients.
//
// # What is claimed
//
// TLS 1.3 only, HTTP/2 the only protocol offered, and every client shows a certificate that one of
// the authorities signed for client use. A change of the files takes effect
// with the first handshake that begins more than Recheck after the last look,
// without a restart. A change that cannot be used, also one caught half-way
// between two files, is logged and leaves the former files in force until the
// files are good again. No error and no log line holds a byte of the key.
//
// Session tickets are off. A resumed session would be accepted on the word of
// a handshake that was verified earlier, perhaps against an authority that was
// removed since; and gRPC keeps connections open, so that resumption would
// save little.
//
// # What is not
//
// An open connection is not closed when its authority is removed; no handshake
// happens on it any more. What a caller may do is the policy's matter and is
// decided anew with each call, so it is there that a caller is shut out at
// once. There is no revocation list and no OCSP: issue short-lived client
// certificates.
//
// # Files
//
// PEM. Text between the blocks is allowed. The certificate file begins with
// the server's own certificate; it must be valid now, for server use, and
// carry a DNS or IP name. The key must be its key, in a file of mode 0600 or
// 0400; symbolic links are followed, since certificate managers use them.
// Every block of the authorities' file must be the certificate of an
// authority, at least one of which is valid now.
package tlsfiles
