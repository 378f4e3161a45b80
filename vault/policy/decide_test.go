package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// request reads "action [collection.field [domain]]" and
// "reveal collection.field purpose view domain"; "-" is 0 and "?" a number
// that the policy does not have.
func request(t *testing.T, p *policy.Policy, text string) policy.Request {
	t.Helper()
	words := append(strings.Fields(text), "", "", "", "", "")
	a, _ := policy.ParseAction(words[0])
	r := policy.Request{Action: a}
	switch words[1] {
	case "", "-":
	case "?":
		r.Field = 9999
	default:
		collection, field, _ := strings.Cut(words[1], ".")
		f := p.FieldByName(collection, field)
		if f == nil {
			t.Fatalf("no field %s", words[1])
		}
		r.Field = f.ID
	}
	domain := words[2]
	if a == policy.ActionReveal {
		switch words[2] {
		case "", "-":
		case "?":
			r.Purpose = 9999
		default:
			if p.Purpose(words[2]) == nil {
				t.Fatalf("no purpose %s", words[2])
			}
			r.Purpose = p.Purpose(words[2]).ID
		}
		if r.View, _ = policy.ParseView(words[3]); words[3] == "?" {
			r.View = 9
		}
		domain = words[4]
	}
	switch domain {
	case "", "-":
	case "?":
		r.Domain = 9999
	default:
		if p.Domain(domain) == nil {
			t.Fatalf("no domain %s", domain)
		}
		r.Domain = p.Domain(domain).ID
	}
	return r
}

func TestDecide(t *testing.T) {
	p := compile(t, read(t, decisions))
	// who, what, and the reason; after a "/" the rule that decided.
	for _, row := range []string{
		"nobody          policy.read                                              = PRINCIPAL_UNKNOWN",
		"nobody          reveal customers.email support plain default             = PRINCIPAL_UNKNOWN",

		// Rights on the policy.
		"admin           policy.apply                                             = OK / administrator 0",
		"admin           policy.read                                              = OK / administrator 0",
		"admin           policy.read customers.email                              = OK / administrator 0",
		"admin           reveal customers.email support plain default             = ACTION_DENIED",
		"admin           write customers.email                                    = ACTION_DENIED",
		"admin           describe customers.email default                         = ACTION_DENIED",
		"reader          policy.read                                              = OK / policy_reader 0",
		"reader          policy.apply                                             = ACTION_DENIED",
		"former_admin    policy.read                                              = DENY_RULE / no_policy 0",
		"former_admin    policy.apply                                             = DENY_RULE / no_policy 0",
		"shop            policy.read                                              = ACTION_DENIED",
		"shop            nonsense customers.email default                         = ACTION_DENIED",

		// Writing: the domain does not matter.
		"shop            write customers.email                                    = OK / writer 0",
		"shop            write customers.email analytics                          = OK / writer 0",
		"shop            write customers.email ?                                  = OK / writer 0",
		"shop            write customers.card_pan                                 = OK / writer 0",
		"shop            write staff.email                                        = FIELD_DENIED",
		"shop            write ?                                                  = FIELD_DENIED",
		"shop            write -                                                  = FIELD_DENIED",
		"shop            delete customers.email                                   = OK / writer 0",
		"shop            delete customers.card_pan                                = DENY_RULE / writer 3",
		"shop            delete customers.card_pan partner                        = DENY_RULE / writer 3",
		"shop            delete staff.salary                                      = FIELD_DENIED",

		// Tokens: the domain counts.
		"shop            read customers.email default                             = OK / writer 1",
		"shop            read customers.email partner                             = OK / writer 1",
		"shop            read customers.email analytics                           = DOMAIN_DENIED",
		"shop            read customers.email -                                   = DOMAIN_DENIED",
		"shop            read customers.email ?                                   = DOMAIN_DENIED",
		"shop            read staff.email default                                 = FIELD_DENIED",
		"shop            tokenize customers.card_pan default                      = OK / writer 1",
		"shop            tokenize customers.card_pan partner                      = DENY_RULE / writer 2",
		"shop            tokenize customers.card_pan analytics                    = DOMAIN_DENIED",
		"shop            tokenize customers.phone partner                         = OK / writer 1",
		"shop            describe customers.email default                         = ACTION_DENIED",
		"shop            reveal customers.email support plain default             = ACTION_DENIED",
		"describer       describe customers.email default                         = OK / describer 0",
		"describer       describe staff.salary analytics                          = OK / describer 0",
		"describer       describe staff.salary partner                            = OK / describer 0",
		"describer       describe staff.salary ?                                  = DOMAIN_DENIED",
		"describer       describe ? default                                       = FIELD_DENIED",
		"describer       read customers.email default                             = ACTION_DENIED",

		// Reveals, one reason after the other.
		"billing         reveal customers.card_pan payment plain default          = OK / billing 0",
		"billing         reveal customers.full_name payment plain default         = OK / billing 0",
		"billing         reveal customers.email payment plain default             = FIELD_DENIED",
		"billing         reveal staff.salary audit_work plain default             = FIELD_DENIED",
		"billing         reveal ? payment plain default                           = FIELD_DENIED",
		"billing         reveal customers.email - plain default                   = FIELD_DENIED",
		"billing         reveal customers.card_pan - plain default                = PURPOSE_REQUIRED",
		"billing         reveal customers.card_pan - - -                          = PURPOSE_REQUIRED",
		"billing         reveal customers.card_pan ? plain default                = PURPOSE_UNKNOWN",
		"billing         reveal customers.card_pan newsletter plain default       = PURPOSE_NOT_DECLARED",
		"billing         reveal customers.card_pan audit_work plain default       = PURPOSE_NOT_DECLARED",
		"billing         reveal customers.card_pan support plain default          = PURPOSE_DENIED",
		"billing         reveal customers.card_pan support masked default         = PURPOSE_DENIED",
		"billing         reveal customers.card_pan payment masked default         = VIEW_DENIED",
		"billing         reveal customers.card_pan payment generalised default    = VIEW_DENIED",
		"billing         reveal customers.card_pan payment token default          = VIEW_DENIED",
		"billing         reveal customers.card_pan payment exists default         = VIEW_DENIED",
		"billing         reveal customers.card_pan payment - default              = VIEW_DENIED",
		"billing         reveal customers.card_pan payment ? default              = VIEW_DENIED",
		"billing         reveal customers.card_pan payment masked analytics       = VIEW_DENIED",
		"billing         reveal customers.card_pan payment plain analytics        = DOMAIN_DENIED",
		"billing         reveal customers.card_pan payment plain -                = DOMAIN_DENIED",
		"billing         reveal customers.card_pan payment plain ?                = DOMAIN_DENIED",

		// Rules of one role do not lend each other their parts.
		"helpdesk        reveal customers.full_name support plain default         = OK / helpdesk 0",
		"helpdesk        reveal customers.full_name support masked default        = VIEW_DENIED",
		"helpdesk        reveal customers.full_name payment plain default         = PURPOSE_DENIED",
		"helpdesk        reveal customers.full_name support plain partner         = DOMAIN_DENIED",
		"helpdesk        reveal customers.email support masked default            = OK / helpdesk 1",
		"helpdesk        reveal customers.email support exists default            = OK / helpdesk 1",
		"helpdesk        reveal customers.email support plain default             = VIEW_DENIED",
		"helpdesk        reveal customers.email newsletter masked default         = PURPOSE_DENIED",
		"helpdesk        reveal customers.phone support masked default            = OK / helpdesk 1",
		"helpdesk        reveal staff.email support masked default                = OK / helpdesk 1",
		"helpdesk        reveal staff.salary audit_work masked default            = FIELD_DENIED",
		"helpdesk        reveal customers.card_pan support masked default         = OK / helpdesk 2",
		"helpdesk        reveal customers.card_pan support masked partner         = OK / helpdesk 2",
		"helpdesk        reveal customers.card_pan support masked analytics       = DOMAIN_DENIED",
		"helpdesk        describe customers.card_pan partner                      = OK / helpdesk 2",
		"helpdesk        describe customers.email default                         = FIELD_DENIED",

		// Roles add up.
		"desk_and_bill   reveal customers.card_pan payment plain default          = OK / billing 0",
		"desk_and_bill   reveal customers.card_pan support masked default         = OK / helpdesk 2",
		"desk_and_bill   reveal customers.card_pan support plain default          = VIEW_DENIED",
		"desk_and_bill   reveal customers.card_pan payment masked default         = VIEW_DENIED",
		"desk_and_bill   reveal customers.full_name payment plain default         = OK / billing 0",
		"desk_and_bill   reveal customers.full_name support plain default         = OK / helpdesk 0",

		// Deny wins, and a category with .* is what lies below it.
		"auditor         reveal customers.email newsletter plain analytics        = OK / auditor 0",
		"auditor         reveal customers.full_name payment exists partner        = OK / auditor 0",
		"auditor         reveal customers.full_name newsletter plain default      = PURPOSE_NOT_DECLARED",
		"auditor         reveal customers.card_pan payment plain default          = DENY_RULE / auditor 1",
		"auditor         reveal customers.card_pan support plain analytics        = DENY_RULE / auditor 1",
		"auditor         reveal customers.card_pan payment masked default         = OK / auditor 0",
		"auditor         reveal staff.salary audit_work plain default             = OK / auditor 0",
		"auditor         reveal customers.phone support exists analytics          = DENY_RULE / auditor 2",
		"auditor         reveal customers.phone support exists partner            = OK / auditor 0",
		"auditor         reveal customers.phone support plain default             = OK / auditor 0",
		"auditor         reveal customers.phone support ? analytics               = VIEW_DENIED",
		"auditor         reveal customers.phone support plain ?                   = DOMAIN_DENIED",
		"auditor         describe customers.phone default                         = ACTION_DENIED",

		// A deny rule without domains is about all of them, in whatever role.
		"dns:auditor     reveal staff.email support plain default                 = DENY_RULE / hands_off_staff 0",
		"dns:auditor     reveal staff.email support exists analytics              = DENY_RULE / hands_off_staff 0",
		"dns:auditor     reveal staff.salary audit_work masked partner            = DENY_RULE / hands_off_staff 0",
		"dns:auditor     reveal customers.email support plain partner             = OK / auditor 0",
		"dns:auditor     describe staff.email analytics                           = DENY_RULE / hands_off_staff 0",
		"dns:auditor     describe customers.email analytics                       = OK / describer 0",
	} {
		t.Run(strings.Join(strings.Fields(row), " "), func(t *testing.T) {
			left, want, _ := strings.Cut(row, "=")
			who, what, _ := strings.Cut(left, " ")
			id := "spiffe://example.org/" + who
			if who == "dns:auditor" {
				id = "dns:auditor.example.org"
			}
			r := request(t, p, what)
			got := p.Decide(p.Principal(id), r)
			reason, rule, _ := strings.Cut(want, "/")
			reason, rule = strings.TrimSpace(reason), strings.TrimSpace(rule)
			if got.Reason.String() != reason || got.Allowed != (reason == "OK") {
				t.Errorf("decided %v (allowed: %v), want %s", got.Reason, got.Allowed, reason)
			}
			why := p.Explain(id, r)
			if why.Decision != got {
				t.Errorf("explained %v", why.Reason)
			}
			if shown := fmt.Sprintf("%s %d", why.Role, why.Rule); rule != "" && shown != rule {
				t.Errorf("decided by %s, want %s", shown, rule)
			}
			if rule == "" && (why.Role != "" || why.Rule != -1 || why.Line != 0) {
				t.Errorf("decided by %s %d in line %d, want none", why.Role, why.Rule, why.Line)
			}
			if rule != "" {
				lines := strings.Split(string(read(t, decisions)), "\n")
				if line := lines[why.Line-1]; !strings.Contains(line, "effect: ") {
					t.Errorf("line %d is no rule: %s", why.Line, line)
				}
			}
		})
	}
}
