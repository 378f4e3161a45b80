package sink

// ParseCursor reads a cursor file's content and writes it again.
func ParseCursor(text []byte) (again []byte, index uint64, err error) {
	c, err := parseCursor(text)
	if err != nil {
		return nil, 0, err
	}
	again, err = c.text()
	return again, c.index, err
}

// KeptRecent is how many bytes a feed keeps at most.
const KeptRecent = keptRecent

// Recent says what a feed keeps.
func Recent(f *Feed) (entries, bytes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.recent {
		bytes += s.size
	}
	return len(f.recent), bytes
}
