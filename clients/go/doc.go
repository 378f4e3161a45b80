// Package cloakroom is the Go client of a Cloakroom vault.
//
// A service hands in personal data and keeps tokens:
//
//	shop, err := cloakroom.Dial("127.0.0.1:7411",
//		cloakroom.WithTLSFiles("ca.crt", "shop.crt", "shop.key"))
//	put, err := shop.Put(ctx, "customers", cloakroom.RecordInput{
//		SubjectID: "C0009001",
//		Fields: cloakroom.Fields{
//			"full_name": cloakroom.Texts("Ada Lovelace"),
//			"email":     cloakroom.Texts("ada@example.org"),
//		},
//	})
//	token := put.Record.Token("email")
//
// Another one, whose role covers the field, asks for the value and says what
// for:
//
//	support, err := cloakroom.Dial("127.0.0.1:7411",
//		cloakroom.WithTLSFiles("ca.crt", "support.crt", "support.key"))
//	revealed, err := support.DetokenizeOne(ctx, token, "support")
//	show(revealed.Value.ExposeText()) // "a***@e***.org": support sees it masked
//
// These are services of the sample policy, server/demo/data/policy.yaml.
//
// # Claims
//
//   - The connection is always TLS 1.3 or newer; there is no plaintext option.
//     Files given to [WithTLSFiles] are read again when they change.
//   - A [Value] prints, logs and marshals as "[redacted]". Only ExposeText and
//     ExposeBytes read it, so that searching for "Expose" lists every reader.
//   - Errors are of type [*Error] and match the sentinels of this package with
//     errors.Is. They never hold a value or a token.
//   - A call is sent again only where that cannot do it twice: reads, reveals,
//     Tokenize, and writes, which carry a request id. Import and ApplyPolicy
//     are never sent again. See [WithRetry].
//   - Lists longer than the contract's 1,000 items are split into several calls
//     and answered in order. Such a list is not one atomic change.
//
// # Not claimed
//
//   - Go cannot wipe strings: a value in clear stays in the memory of the
//     process until the garbage collector reuses it.
//   - The checksum of a token is not checked here; the vault does that.
//
// A [Client] is safe for concurrent use. Make one for each vault and keep it.
package cloakroom
