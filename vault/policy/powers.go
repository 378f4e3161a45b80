package policy

import "errors"

// powers notes what the rules of a document without other mistakes must not
// add up to. It asks the compiled policy, so that deny rules count.
func (r *reader) powers(f *File) {
	reg, err := f.Register(nil)
	if err != nil {
		r.take(err)
		return
	}
	p, err := Compile(f, reg, 1)
	if err != nil {
		r.take(err)
		return
	}
	somebody := false
	for i, pr := range p.principals {
		if !p.Can(pr, ActionPolicyApply) {
			continue
		}
		somebody = true
		if p.Can(pr, ActionReveal) {
			at := f.doc.Principals[i].place
			r.add(at.line, at.path, "the principal could both apply policies and reveal values; give the two to different principals")
		}
	}
	if !somebody {
		at := f.doc.Principals[0].place
		r.add(at.line, "principals", "no principal holds policy.apply: nobody could apply the next policy")
	}
}

// take notes the problems of a later step.
func (r *reader) take(err error) {
	var problems Problems
	if errors.As(err, &problems) {
		r.list = append(r.list, problems...)
		return
	}
	r.add(1, "", "%v", err)
}
