package main_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// load stores records from many goroutines and remembers which of them were
// acknowledged.
type load struct {
	t      *testing.T
	cancel context.CancelFunc
	all    sync.WaitGroup
	ended  chan struct{} // closed when every caller ended

	mu           sync.Mutex
	acknowledged map[string]string // by subject: the card that was stored
	reached      chan struct{}     // closed when there are enough
	enough       int
}

// startLoad begins to store, callers at a time, subjects named after prefix.
func startLoad(t *testing.T, p *process, prefix string, callers int) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{
		t: t, cancel: cancel, ended: make(chan struct{}),
		acknowledged: make(map[string]string), reached: make(chan struct{}), enough: -1,
	}
	t.Cleanup(func() { l.stop() })
	for caller := range callers {
		// No second attempts: an error ends the caller.
		client := p.as("shop", cloakroom.WithTimeout(10*time.Second), cloakroom.WithRetry(1, time.Second))
		l.all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				subject := fmt.Sprintf("%s-%d-%d", prefix, caller, i)
				number := cardNumber(caller*1_000_000 + i)
				_, err := client.Put(ctx, customers, cloakroom.RecordInput{
					SubjectID: subject, Fields: cloakroom.Fields{"card_pan": cloakroom.Texts(number), "full_name": cloakroom.Texts("Ada Lovelace")},
				})
				if err != nil {
					return
				}
				l.acknowledge(subject, number)
			}
		})
	}
	go func() {
		l.all.Wait()
		close(l.ended)
	}()
	return l
}

func (l *load) acknowledge(subject, number string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acknowledged[subject] = number
	if len(l.acknowledged) == l.enough {
		close(l.reached)
	}
}

// waitFor returns when n records are acknowledged.
func (l *load) waitFor(n int) {
	l.mu.Lock()
	if l.enough = n; len(l.acknowledged) >= n {
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	select {
	case <-l.reached:
	case <-l.ended:
		l.t.Fatal("every caller failed before there was enough")
	}
}

// stop ends the load and returns what was acknowledged.
func (l *load) stop() map[string]string {
	l.cancel()
	<-l.ended
	return l.acknowledged
}

// wantAll wants every acknowledged record to reveal the acknowledged value.
func wantAll(t *testing.T, p *process, acknowledged map[string]string) {
	t.Helper()
	var subjects []string
	for s := range acknowledged {
		subjects = append(subjects, s)
	}
	records, err := p.as("shop").BatchGet(t.Context(), customers, subjects)
	if err != nil {
		t.Fatal(err)
	}
	var tokens []string
	for i, r := range records {
		if r.Err != nil {
			t.Errorf("%s was acknowledged and is not there: %v", subjects[i], r.Err)
			return
		}
		tokens = append(tokens, r.Record.Token("card_pan"))
	}
	revealed, err := p.as("billing").Detokenize(t.Context(), tokens, "payment")
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range revealed {
		if r.Err != nil || r.Value.ExposeText() != acknowledged[subjects[i]] {
			t.Errorf("%s does not reveal what was acknowledged: %v", subjects[i], r.Err)
			return
		}
	}
}

// cardNumber is the n-th number of 16 digits with a right check digit.
func cardNumber(n int) string {
	digits := fmt.Sprintf("4000%011d", n)
	sum := 0
	for i, r := range digits {
		d := int(r - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return digits + fmt.Sprint((10-sum%10)%10)
}
