package jsonlines

// Failing makes calls of the open file fail: each error stands for the next
// call of its kind, and a write that fails leaves the given number of bytes.
func (t *Target) Failing(write, sync error, left int) {
	t.file = &failing{file: t.file, write: write, sync: sync, left: left}
}

type failing struct {
	file
	write, sync error
	left        int
}

func (f *failing) Write(p []byte) (int, error) {
	if f.write == nil {
		return f.file.Write(p)
	}
	n, err := f.file.Write(p[:f.left])
	if err != nil {
		return n, err
	}
	err, f.write = f.write, nil
	return n, err
}

func (f *failing) Sync() error {
	if f.sync == nil {
		return f.file.Sync()
	}
	err := f.sync
	f.sync = nil
	return err
}
