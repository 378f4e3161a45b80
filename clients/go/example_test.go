package cloakroom_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

func Example() {
	client, err := cloakroom.Dial("vault.internal:7411",
		cloakroom.WithTLSFiles("ca.pem", "orders.pem", "orders.key"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()

	// Hand the values in, keep the token.
	put, err := client.Put(ctx, "customers", cloakroom.RecordInput{
		SubjectID: "C0000001",
		Fields: cloakroom.Fields{
			"email": cloakroom.Texts("ada@example.org"),
			"phone": cloakroom.Texts("+493012345678"),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	token := put.Record.Token("email")

	// Ask for the value, and say what for.
	revealed, err := client.DetokenizeOne(ctx, token, "order_updates",
		cloakroom.AsView(cloakroom.ViewPlain), cloakroom.Reason("ORDER-1234"))
	if err != nil {
		log.Fatal(err)
	}
	sendMail(revealed.Value.ExposeText())
}

func ExampleClient_Detokenize() {
	var client *cloakroom.Client // from Dial
	var tokens []string          // any number

	results, err := client.Detokenize(context.Background(), tokens, "order_updates")
	if err != nil {
		log.Fatal(err) // a call failed; results has those before it
	}
	for i, r := range results {
		switch {
		case errors.Is(r.Err, cloakroom.ErrConsentRequired), errors.Is(r.Err, cloakroom.ErrNotFound):
			continue // this person does not want it, or is gone
		case r.Err != nil:
			log.Printf("token %d: %v", i, r.Err)
		default:
			sendMail(r.Value.ExposeText())
		}
	}
}

func ExampleClient_DetokenizeAll() {
	var client *cloakroom.Client // from Dial
	var tokens []string

	for r, err := range client.DetokenizeAll(context.Background(), slices.Values(tokens), "order_updates") {
		if err != nil {
			log.Fatal(err) // the stream broke
		}
		if r.Err == nil {
			sendMail(r.Value.ExposeText())
		}
	}
}

func ExampleClient_Import() {
	var client *cloakroom.Client        // from Dial
	var records []cloakroom.RecordInput // or any iterator

	result, err := client.Import(context.Background(), "customers", slices.Values(records), cloakroom.Upsert())
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range result.Failures {
		log.Printf("record %d: %v", f.Index, f.Err)
	}
}

func ExampleValue() {
	fmt.Println(cloakroom.Text("ada@example.org"))
	// Output: [redacted]
}

func ExampleError() {
	var err error // from a call

	var refusal *cloakroom.Error
	switch {
	case errors.Is(err, cloakroom.ErrPermissionDenied):
		log.Print("ask for a role that covers it")
	case errors.As(err, &refusal):
		log.Printf("%s: field %q, rule %q", refusal.Reason, refusal.Field, refusal.Rule)
	}
}

func sendMail(string) {}
