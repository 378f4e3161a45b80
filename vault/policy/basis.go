package policy

// Basis is the lawful basis of a purpose. Numbers are stable.
type Basis uint8

// The lawful bases.
const (
	BasisConsent Basis = iota + 1
	BasisContract
	BasisLegalObligation
	BasisVitalInterest
	BasisPublicTask
	BasisLegitimateInterest

	basisEnd // one past the last
)

var basisNames = [basisEnd]string{
	BasisConsent:            "consent",
	BasisContract:           "contract",
	BasisLegalObligation:    "legal_obligation",
	BasisVitalInterest:      "vital_interest",
	BasisPublicTask:         "public_task",
	BasisLegitimateInterest: "legitimate_interest",
}

// String returns the name used in policy documents, or "basis(n)".
func (b Basis) String() string { return enumName("basis", basisNames[:], uint8(b)) }

// ParseBasis returns the basis of that name and whether there is one.
func ParseBasis(name string) (Basis, bool) {
	n, ok := enumNumber(basisNames[:], name)
	return Basis(n), ok
}

// Channel is a way to reach a person. Numbers are stable.
type Channel uint8

// The channels. ChannelNone is a purpose that reaches nobody.
const (
	ChannelNone Channel = iota
	ChannelEmail
	ChannelSMS
	ChannelPhone
	ChannelPost
	ChannelPush

	channelEnd // one past the last
)

var channelNames = [channelEnd]string{
	ChannelNone:  "none",
	ChannelEmail: "email",
	ChannelSMS:   "sms",
	ChannelPhone: "phone",
	ChannelPost:  "post",
	ChannelPush:  "push",
}

// String returns the name used in policy documents, "none", or "channel(n)".
func (c Channel) String() string { return enumName("channel", channelNames[:], uint8(c)) }

// ParseChannel returns the channel of that name and whether there is one.
// "none" is not one: a document leaves the channel out instead.
func ParseChannel(name string) (Channel, bool) {
	n, ok := enumNumber(channelNames[:], name)
	return Channel(n), ok
}
