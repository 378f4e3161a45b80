package alarm

// Bound lowers the bounds of a detector.
func (d *Detector) Bound(principals, persons int) {
	d.maxPrincipals, d.maxPersons = principals, persons
}

// Held returns how many principals are remembered and persons held, the latter
// counted anew.
func (d *Detector) Held() (principals, persons int) {
	for _, p := range d.principals {
		persons += len(p.persons.seen)
	}
	if persons != d.held {
		panic("the count of persons held is wrong")
	}
	return len(d.principals), persons
}

// Marks returns how many marks the two series of a principal hold.
func (d *Detector) Marks(principal string) int {
	p := d.principals[principal]
	return len(p.unknown.marks) + len(p.refusals.marks)
}
