// Package webhook posts entries of the audit log, one by one, as signed JSON
// events: alarms, to whoever is on duty. It follows the Standard Webhooks
// specification 1.0 (https://www.standardwebhooks.com), for which receivers
// have libraries in many languages.
//
// # The event
//
//	POST /… HTTP/1.1
//	Content-Type: application/json
//	webhook-id: 00112233445566778899aabbccddeeff
//	webhook-timestamp: 1767323045
//	webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=
//
//	{"type":"cloakroom.alarm","timestamp":"2026-01-02T03:04:05.678Z","index":4711,"data":{…}}
//
// type is "cloakroom." and the action of the entry, timestamp is the entry's,
// index its place in the log, data the entry itself. webhook-id is the id of
// the entry: the same at every attempt, and the same when an event comes again
// after a crash. webhook-timestamp is the time of the attempt.
//
// # What a receiver does
//
//  1. It refuses a webhook-timestamp more than five minutes from its own clock,
//     since somebody may send an old event again.
//  2. It decodes its secret: what follows "whsec_" is base64.
//  3. It computes base64(HMAC-SHA256(secret, webhook-id + "." +
//     webhook-timestamp + "." + body)) over the bytes of the body as they came,
//     before any JSON parser touches them.
//  4. It compares that, in constant time, with what follows "v1," in each of the
//     space-separated parts of webhook-signature. One that is equal is enough;
//     parts of another version are passed over.
//  5. It answers 2xx within ten seconds, and does nothing more for a webhook-id
//     that it has seen.
//
// # Secrets
//
// The secret file has mode 0600 or 0400 and one or two lines, each "whsec_" and
// the base64 of 24 to 64 random bytes:
//
//	printf 'whsec_%s\n' "$(openssl rand -base64 32)" > siem.secret
//
// It is read for each event. With two lines an event carries both signatures,
// so that a secret is changed without a gap: add the new one, give it to the
// receiver, remove the old one.
//
// # Delivery
//
// An alarm is not lost: whatever the answer, the event is tried until it is
// 2xx. After a refusal that will hardly change by itself (a redirect, a 4xx, 410
// included) the pause is five minutes; after others the follower's, or what
// Retry-After asks for. Redirects are never followed. Events stay in order, so
// that one that is refused holds up the next; the follower's lag shows it.
package webhook
