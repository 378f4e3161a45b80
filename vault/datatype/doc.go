// Package datatype knows the types of field values: which inputs are valid,
// in which one form each value is stored, in which form it is searched, and
// which masks show a part of it.
//
// # Forms
//
// The canonical form is what the vault seals. Two inputs that mean the same
// value ("Jett@Example.NET ", "jett@example.net") have the same canonical
// form, and canonicalising a canonical value changes nothing. The match form
// is what the search index, the unique check and pseudonyms hash; it drops
// differences that a person who searches does not think of, such as the case
// of a name. The masked form is for people who need to recognise a value
// without reading it.
//
// All text is trimmed of blanks at both ends and must be valid UTF-8 without
// control characters, without characters that reorder the text around them
// and without Unicode noncharacters. Free text is stored in NFC. Codes
// (numbers, dates, cards, ...) are read in NFKC, so that full-width digits
// work, and invisible format characters, which spreadsheets leave behind, are
// dropped from them.
//
// # Types
//
//	type          canonical form                                     default mask
//	string        NFC; line feeds and tabs may stay                  full
//	email         lower case, domain in ASCII, at most 254 octets    email
//	phone         E.164, a possible number (not: an assigned one)    phone
//	person_name   NFC, single spaces                                 initials
//	date          2006-01-02, years 0001 to 9999                     year
//	birth_date    2006-01-02, not future, within 130 years           year
//	payment_card  12 to 19 digits that pass Luhn                     card
//	iban          upper case, no blanks, check digits and length     iban
//	national_id   4 to 32 letters, digits and " -./", or a pattern   last2
//	street        NFC, single spaces                                 full
//	city          NFC, single spaces                                 full
//	region        NFC, single spaces                                 full
//	postal_code   upper case, A-Z, 0-9, space and hyphen             first2
//	country       ISO 3166-1 alpha-2, upper case                     full
//	ip_address    RFC 5952, no zone, IPv4-mapped as IPv4             network
//	coordinates   "lat,lon" in degrees, at most 7 decimals           degrees
//	url           absolute http or https, host in ASCII, no user     origin
//	bytes         as given                                           full
//	integer       signed 64-bit, base 10                             full
//	decimal       no exponent, no trailing zeros after the point     full
//	boolean       true or false                                      full
//	timestamp     RFC 3339 in UTC, at most nanoseconds               year
//	language      BCP 47, canonical                                  full
//	pattern       NFC text that matches the policy's pattern         full
//
// # Masks
//
//	full      "***", for every type
//	first1    first character and "***"; likewise first2, last2, last4
//	email     first character of the local part and of the domain, and the
//	          last label: j***@e***.org
//	phone     country code and the last two digits: +49 *** 47
//	card      last four digits: **** **** **** 1234
//	iban      country and last four characters: DE** **** **** 3000
//	initials  first letter of the first and last word: J. D.; of a name of one
//	          word: J*
//	year      the year: 1977-**-**
//	network   first two numbers of an IPv4 address or first group of an IPv6
//	          address: 112.47.*.*, e751:***
//	degrees   whole degrees: -73.*,-71.*
//	origin    scheme and host: https://example.org/***
//
// The number of stars never depends on the value. The partial masks first1 to
// last4 show at most half of the characters, initials at most half of the
// letters, else the mask is full. A mask of bytes that are not a canonical
// value of its shape is full too. A masked value never contains the value.
//
// # What is not claimed
//
// Validity is a matter of shape: nobody asks whether a mailbox, a number or
// an account exists. A mask is no anonymisation: a masked value may still be
// told apart from others and, with other knowledge, be assigned to a person.
//
// # Compatibility
//
// Type numbers are written to disk and never reused. Canonical and match forms
// depend on the Unicode version of the toolchain only for characters that
// version had not assigned. A change of a match form raises MatchVersion.
package datatype
