package audit

import "strings"

// Decoder decodes entries one after the other into the same memory, so that a
// long log is read almost without allocations. The zero Decoder is ready. It
// is for one goroutine at a time and must not be copied after first use.
//
// Texts that repeat (principal, purpose, view, collection, refusal) are kept,
// at most maxKept of them, and given out again. All texts may be kept by the
// caller for as long as he likes; a request, reason or object that is kept
// holds up to textLot bytes with it.
type Decoder struct {
	entry Entry
	items []Item
	kept  map[string]string
	// lot takes the texts that seldom repeat. It only grows within the room it
	// has, so that texts given out stay as they are, and then is left to them.
	lot strings.Builder
}

const (
	maxKept = 4096
	textLot = 16 << 10 // more than all texts of one entry
)

// Decode does what the function Decode does, with the same rules and errors.
// The entry, its Items included, is valid until the next call; its texts stay.
func (d *Decoder) Decode(raw []byte) (*Entry, error) {
	d.entry = Entry{}
	if err := decode(raw, &d.entry, d); err != nil {
		return nil, err
	}
	return &d.entry, nil
}

// zeros returns n items that are all zero.
func (d *Decoder) zeros(n int) []Item {
	if n > cap(d.items) {
		d.items = make([]Item, n)
	}
	items := d.items[:n]
	clear(items)
	return items
}

// texts sets the texts of e.
func (d *Decoder) texts(e *Entry, pieces *[textCount][]byte) {
	for i, text := range e.texts() {
		switch text {
		case &e.Request, &e.Reason, &e.Object:
			*text = d.once(pieces[i])
		default:
			*text = d.often(pieces[i])
		}
	}
}

// often returns a text that is likely to come again.
func (d *Decoder) often(b []byte) string {
	if text, ok := d.kept[string(b)]; ok {
		return text
	}
	if d.kept == nil || len(d.kept) >= maxKept {
		d.kept = make(map[string]string)
	}
	text := string(b)
	d.kept[text] = text
	return text
}

// once returns a text that is not likely to come again.
func (d *Decoder) once(b []byte) string {
	if len(b) > d.lot.Cap()-d.lot.Len() {
		d.lot.Reset()
		d.lot.Grow(textLot)
	}
	start := d.lot.Len()
	d.lot.Write(b)
	return d.lot.String()[start:]
}
