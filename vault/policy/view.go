package policy

// View is the form in which a value may be seen. Each is a right of its own.
// Numbers are stable and equal those of the wire contract.
type View uint8

// The views. Rules may name all of them; which ones a vault offers is the
// vault's business.
const (
	ViewPlain       View = iota + 1 // the value itself
	ViewMasked                      // what the field's mask keeps
	ViewGeneralised                 // a coarser value
	ViewToken                       // the token
	ViewExists                      // whether there is a value

	viewEnd // one past the last
)

var viewNames = [viewEnd]string{
	ViewPlain:       "plain",
	ViewMasked:      "masked",
	ViewGeneralised: "generalised",
	ViewToken:       "token",
	ViewExists:      "exists",
}

// widestFirst orders the views by how much they show.
var widestFirst = [...]View{ViewPlain, ViewGeneralised, ViewMasked, ViewToken, ViewExists}

// String returns the name used in policy documents, or "view(n)".
func (v View) String() string { return enumName("view", viewNames[:], uint8(v)) }

// ParseView returns the view of that name and whether there is one.
func ParseView(name string) (View, bool) {
	n, ok := enumNumber(viewNames[:], name)
	return View(n), ok
}

// ViewSet is a set of views. The zero value is empty.
type ViewSet uint8

const allViews ViewSet = 1<<viewEnd - 1<<ViewPlain

// ViewsOf returns the set of the given views. Numbers that are no view are
// left out.
func ViewsOf(views ...View) ViewSet {
	var s ViewSet
	for _, v := range views {
		if v < viewEnd {
			s |= 1 << v & allViews
		}
	}
	return s
}

// Has reports whether v is in the set.
func (s ViewSet) Has(v View) bool { return v < viewEnd && s&(1<<v) != 0 }

// Widest returns the view of the set that shows most, in the order plain,
// generalised, masked, token, exists; 0 for an empty set.
func (s ViewSet) Widest() View {
	for _, v := range widestFirst {
		if s.Has(v) {
			return v
		}
	}
	return 0
}
