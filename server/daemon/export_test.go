package daemon

// PlaceRestored and MovePlaced are for tests of each step of a restore.
func PlaceRestored(dir string, fault func(step string) error) (string, error) {
	return placeRestored(dir, fault)
}

// MovePlaced goes on with a restore that has happened.
func MovePlaced(dir string) (string, error) { return movePlaced(dir, nil) }
