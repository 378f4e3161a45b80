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
