package policy

// Parse reads a policy document. On any mistake it returns Problems: all of
// them, each with line and path. It first looks at every part of the document
// and every name; when these are right, at what the rules add up to (somebody
// can apply the next policy, and nobody who can may reveal).
func Parse(doc []byte) (*File, error) {
	var r reader
	root := r.document(doc)
	if root == nil {
		return nil, r.err()
	}
	f := &File{}
	top := r.mapping(root, "", "version", "purposes", "domains", "collections", "roles", "principals")
	if top.need("version") != nil {
		f.doc.Version = top.integer("version", 1, 1)
	}
	f.doc.Purposes = r.purposes(top)
	f.doc.Domains = r.domains(top)
	f.doc.Collections = r.collections(top)
	f.doc.Roles = r.roles(top)
	f.doc.Principals = r.principals(top)
	r.unique(&f.doc)
	r.resolve(&f.doc)
	if r.none() {
		r.powers(f)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return f, nil
}
