// Package devca makes a certificate authority and certificates for
// development, demonstrations and tests, without any outside tool.
//
// # What is claimed
//
// Every file appears whole or not at all, and is on the disk when the call
// returns. Keys are ECDSA P-256, made by crypto/rand, with mode 0600 from
// their first byte. Nothing replaces the key of an authority. A client
// certificate carries exactly one name, a SPIFFE ID that a policy can name.
//
// # What is not
//
// The key of the authority lies in clear beside the certificates, nothing is
// revoked, and nobody checks who asks. In production the certificates come
// from where the organisation makes its certificates.
//
// # Files
//
// All in one directory, PEM, keys in PKCS #8:
//
//	ca.crt        0644   the authority, valid for CAValidity
//	ca.key        0600
//	<name>.crt    0644   valid for LeafValidity, never longer than the authority
//	<name>.key    0600
package devca
