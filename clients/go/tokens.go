package cloakroom

import (
	"context"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// TokenizeItem is one value of one person.
type TokenizeItem struct {
	// SubjectID is the caller's own id of the person: 1 to 256 bytes of UTF-8.
	SubjectID string
	Value     Value
}

// TokenizeResult answers one item of Tokenize.
type TokenizeResult struct {
	// Token is empty when Err is set.
	Token string
	// Stored says whether the value was stored by this call.
	Stored bool
	// Err says why there is no token (an *Error).
	Err error
}

// TokenDescription says what a token stands for, and nothing of the value.
type TokenDescription struct {
	Collection, Field string
	// Type is the field's type, such as "email".
	Type string
	// Category is the field's category, such as "user.contact.email".
	Category string
	Domain   string
	// Purposes are those that the field is declared for.
	Purposes []string
	// Latest says whether the text is the newest form of this token.
	Latest bool
	// Err says why there is no description (an *Error).
	Err error
}

// Tokenize makes sure that each subject's field holds the value, creating the
// record and the person when missing, and returns its token. Doing it again
// gives the same token. No subject may stand twice. When a
// call fails, the results of the calls before it are returned with the error.
// Text that is not UTF-8 fails the list before anything is sent.
func (c *Client) Tokenize(ctx context.Context, collection, field string, items []TokenizeItem, options ...TokenizeOption) ([]TokenizeResult, error) {
	o := c.newCall()
	for _, option := range options {
		option.applyTokenize(&o)
	}
	if err := checkAll(items, func(i TokenizeItem) error { return i.check(field) }); err != nil {
		return nil, err
	}
	results := make([]TokenizeResult, 0, len(items))
	for _, run := range chunks(items, TokenizeItem.size) {
		messages := make([]*cloakroomv1.TokenizeItem, len(run))
		for i, item := range run {
			messages[i] = cloakroomv1.TokenizeItem_builder{SubjectId: item.SubjectID, Value: item.Value.message()}.Build()
		}
		answer, err := invoke(ctx, c, idempotent, c.tokens.Tokenize, cloakroomv1.TokenizeRequest_builder{
			Collection: collection, Field: field, Items: messages, Domain: o.domain,
		}.Build())
		if err != nil {
			return results, err
		}
		if len(answer.GetResults()) != len(run) {
			return results, brokenAnswer(len(answer.GetResults()), len(run))
		}
		for _, r := range answer.GetResults() {
			results = append(results, TokenizeResult{r.GetToken(), r.GetStored(), itemError(r.GetError())})
		}
	}
	return results, nil
}

// TokenizeOne is Tokenize for one value; the error of the item is the error.
func (c *Client) TokenizeOne(ctx context.Context, collection, field, subjectID string, value Value, options ...TokenizeOption) (string, error) {
	results, err := c.Tokenize(ctx, collection, field, []TokenizeItem{{subjectID, value}}, options...)
	if err != nil {
		return "", err
	}
	return results[0].Token, results[0].Err
}

// Describe says what any number of tokens stand for, each answered in its
// place. When a call fails, the results of the calls before it are returned
// with the error.
func (c *Client) Describe(ctx context.Context, tokens []string) ([]TokenDescription, error) {
	results := make([]TokenDescription, 0, len(tokens))
	for _, run := range chunks(tokens, stringSize) {
		answer, err := invoke(ctx, c, idempotent, c.tokens.DescribeTokens,
			cloakroomv1.DescribeTokensRequest_builder{Tokens: run}.Build())
		if err != nil {
			return results, err
		}
		if len(answer.GetResults()) != len(run) {
			return results, brokenAnswer(len(answer.GetResults()), len(run))
		}
		for _, r := range answer.GetResults() {
			results = append(results, TokenDescription{
				Collection: r.GetCollection(), Field: r.GetField(),
				Type: r.GetType(), Category: r.GetCategory(), Domain: r.GetDomain(),
				Purposes: r.GetPurposes(), Latest: r.GetLatest(), Err: itemError(r.GetError()),
			})
		}
	}
	return results, nil
}

func (i TokenizeItem) size() int { return len(i.SubjectID) + i.Value.Len() + 16 }

func (i TokenizeItem) check(field string) error {
	return RecordInput{SubjectID: i.SubjectID, Fields: Fields{field: {i.Value}}}.check()
}
