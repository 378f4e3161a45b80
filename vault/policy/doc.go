// Package policy says who may see what, for which purpose.
//
// One strict YAML document declares purposes, token domains, collections with
// their fields, roles, and principals. It goes through four steps, none of
// which does any I/O:
//
//	Parse     reads the document and finds every mistake in it
//	Register  gives each name a number, once and for ever
//	Compile   builds the tables that decisions are read from
//	Decide    answers whether a principal may do a thing
//
// # The document
//
//	version: 1
//	purposes:
//	  - name: payment          # lower_snake, at most 64 characters
//	    basis: contract        # consent, contract, legal_obligation, vital_interest,
//	                           # public_task, legitimate_interest
//	    channel: email         # optional: email, sms, phone, post, push
//	    text: {en: "To take the payment for what you bought."}
//	domains:
//	  - name: analytics        # "default" always exists and need not be listed
//	collections:
//	  - name: customers
//	    fields:
//	      - name: email
//	        type: email        # see package datatype
//	        category: user.contact.email
//	        purposes: [payment]
//	        max_length: 254    # optional; so are pattern, mask, scale
//	        multi: 5           # optional: the field holds up to 5 items
//	        retention: 730d    # optional: a value is refused after that many days,
//	                           # and stays stored until it is deleted
//	roles:
//	  - name: billing
//	    rules:
//	      - effect: allow      # or deny
//	        actions: [reveal]  # write, delete, read, tokenize, describe, reveal,
//	                           # policy.apply, policy.read, audit.read,
//	                           # incident.read, incident.freeze, incident.thaw,
//	                           # incident.honey, incident.exposure,
//	                           # keys.read, keys.rotate, keys.disable,
//	                           # keys.destroy, keys.approve
//	        fields: [customers.email]         # or customers.*, or "*"
//	        categories: [user.contact.*]      # and/or: everything below a category
//	        purposes: [payment]               # reveal only; "*" is every purpose
//	        views: [plain]                    # reveal only; "*" is every view
//	        domains: [default]                # "*" is every domain
//	principals:
//	  - id: spiffe://example.org/billing      # or dns:billing.example.org
//	    roles: [billing]
//
// A purpose, domain, collection or field may carry renamed_from: the name it
// had in the policy before.
//
// The reader is strict: unknown and duplicate keys, wrong types, undeclared
// names, a field without a purpose, a rule that can have no effect, anchors
// and aliases are mistakes. All are reported at once, with line and path.
//
// # What a rule means
//
// Rights are the union of the allow rules of all roles of a principal; one
// matching deny rule wins over all of them. What no rule allows is refused.
// Purposes and views narrow the action reveal only; domains narrow the
// actions that deal with tokens (read, tokenize, describe, reveal).
//
// A rule without domains means the default domain when it allows, and every
// domain when it denies: what was left out never widens a right.
//
// A reveal is possible only for a purpose that the field declares, whatever
// the rules say.
//
// Rights on fields and rights on the vault as a whole (policy.*, audit.*,
// incident.*, keys.*) stand in rules of their own.
//
// Whoever may apply policies cannot reveal values: a document that gives both
// to one principal is refused, and so is one in which nobody may apply the
// next. The other rights may be combined freely: audit.read, incident.read and
// incident.exposure show no value; what incident.freeze, incident.thaw,
// incident.honey and policy.apply do is always in the audit log, under the name
// of who did it. A document need not give incident.thaw to anybody, but then
// the vault refuses to freeze, since nobody could end it.
//
// # What is not here
//
// Consent, freezes and other states of a person: the vault checks these after
// Decide. A purpose carries its lawful basis so that the vault can.
//
// # Numbers
//
// A Registry gives out numbers of collections, fields, purposes and domains.
// They stand in keys and ciphertexts, so none is ever used again: a dropped
// name keeps its number, and the same name declared later gets a new one.
package policy
