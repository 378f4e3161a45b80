package cloakroom

import (
	"fmt"
	"slices"
	"strings"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// View is the form in which a value may be seen. Each is a right of its own.
type View string

// The views of the contract. The vault refuses those that it does not offer
// yet.
const (
	// ViewWidest asks for the widest view that the caller holds for the purpose.
	ViewWidest View = ""
	// ViewPlain is the value itself.
	ViewPlain View = "plain"
	// ViewMasked keeps only what the field's mask keeps, such as the last four
	// digits of a card.
	ViewMasked View = "masked"
	// ViewGeneralised is a coarser value, such as the year of birth.
	ViewGeneralised View = "generalised"
	// ViewToken is the token only.
	ViewToken View = "token"
	// ViewExists says only whether there is a value.
	ViewExists View = "exists"
)

// viewNames has each view at the place of its number in the contract.
func viewNames() []View {
	return []View{ViewWidest, ViewPlain, ViewMasked, ViewGeneralised, ViewToken, ViewExists}
}

// ParseView returns the view of that name. Its error names the views there are.
func ParseView(name string) (View, error) {
	names := viewNames()
	if slices.Contains(names, View(name)) {
		return View(name), nil
	}
	texts := make([]string, 0, len(names))
	for _, v := range names[1:] {
		texts = append(texts, string(v))
	}
	return "", fmt.Errorf("unknown view; the views are %s", strings.Join(texts, ", "))
}

func (v View) number() (cloakroomv1.View, error) {
	if i := slices.Index(viewNames(), v); i >= 0 {
		return cloakroomv1.View(i), nil
	}
	return 0, invalidRequest("view", "unknown view")
}

func viewFrom(n cloakroomv1.View) View {
	names := viewNames()
	if n < 0 || int(n) >= len(names) {
		// A view of a newer contract: say so, do not pass it off as another.
		return View(fmt.Sprintf("view_%d", int32(n)))
	}
	return names[n]
}
