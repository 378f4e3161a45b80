package datatype

import "errors"

// What Compile refuses. The errors it returns wrap one of these and name the
// rule; they may repeat names and patterns of the policy, which are no
// personal data.
var (
	// ErrUnknownType: no type has this name.
	ErrUnknownType = errors.New("unknown type")
	// ErrLength: MaxLength is out of range or not offered for the type.
	ErrLength = errors.New("bad maximum length")
	// ErrPattern: Pattern is missing, not valid RE2, or not offered for the type.
	ErrPattern = errors.New("bad pattern")
	// ErrMask: the mask is unknown or not offered for the type.
	ErrMask = errors.New("bad mask")
	// ErrScale: Scale is out of range or not offered for the type.
	ErrScale = errors.New("bad scale")
)

// RuleError says which rule an input broke. It never holds any part of the
// input.
type RuleError struct {
	// Rule is a stable lower_snake identifier, one of the Rule constants.
	Rule string
	// Detail is a sentence about the rule, for people.
	Detail string
}

func (e *RuleError) Error() string { return e.Rule + ": " + e.Detail }

// The rules that Canonical checks. They are part of the API: callers and
// clients may compare them.
const (
	RuleEmpty               = "empty"
	RuleTooLong             = "too_long"
	RuleUTF8                = "utf8"
	RuleControlCharacter    = "control_character"
	RuleBooleanSyntax       = "boolean_syntax"
	RuleCardLength          = "card_length"
	RuleCardSyntax          = "card_syntax"
	RuleCoordinatesRange    = "coordinates_out_of_range"
	RuleCoordinatesSyntax   = "coordinates_syntax"
	RuleCountryCode         = "country_code"
	RuleDateOutOfRange      = "date_out_of_range"
	RuleDateSyntax          = "date_syntax"
	RuleDecimalDigits       = "decimal_digits"
	RuleDecimalScale        = "decimal_scale"
	RuleDecimalSyntax       = "decimal_syntax"
	RuleEmailDomain         = "email_domain"
	RuleEmailSyntax         = "email_syntax"
	RuleIBANCheckDigits     = "iban_check_digits"
	RuleIBANLength          = "iban_length"
	RuleIBANSyntax          = "iban_syntax"
	RuleIPSyntax            = "ip_syntax"
	RuleIntegerOutOfRange   = "integer_out_of_range"
	RuleIntegerSyntax       = "integer_syntax"
	RuleLanguageTag         = "language_tag"
	RuleLuhn                = "luhn"
	RulePattern             = "pattern"
	RulePhoneInternational  = "phone_not_international"
	RulePhoneNotPossible    = "phone_not_possible"
	RulePhoneSyntax         = "phone_syntax"
	RulePostalCodeSyntax    = "postal_code_syntax"
	RuleTimestampOutOfRange = "timestamp_out_of_range"
	RuleTimestampSyntax     = "timestamp_syntax"
	RuleURLHost             = "url_host"
	RuleURLSyntax           = "url_syntax"
)

func refuse(rule, detail string) error { return &RuleError{Rule: rule, Detail: detail} }
