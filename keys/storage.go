package keys

import "context"

// Row is one stored row of a Ring: the wrapped root, or a sealed keyset. The
// blob is safe to show to anybody who does not hold the KEK.
type Row struct {
	// Name is "root" or the ID of a keyset, such as "field/12".
	Name string
	Blob []byte
}

// Replace changes a row that must hold exactly Old.
type Replace struct {
	Name     string
	Old, New []byte
}

// Storage is where a Ring keeps its rows. It is safe for concurrent use, also
// by several Rings over the same rows.
type Storage interface {
	// Load returns all rows, from one snapshot that includes every Save
	// acknowledged before the call. The rows belong to the caller.
	Load(ctx context.Context) ([]Row, error)

	// Save makes all changes or none. Created rows must be absent and replaced
	// rows equal to Old, else ErrConflict. Changes are durable when it returns
	// nil.
	Save(ctx context.Context, create []Row, replace []Replace) error
}
