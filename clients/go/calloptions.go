package cloakroom

// call is what the options of a single call set.
type call struct {
	domain    string
	requestID string
	etag      string
	upsert    bool
	mask      []string
	clear     []string
	pageSize  int
	view      View
	reason    string
	fields    []string
	expected  *uint64
	validate  bool
	newest    bool
	from      *uint64
	reconnect func(error)
	recovered func()
	refuse    bool
	count     bool
	addOnly   bool
	force     bool
	untilIdle bool
}

// The kinds of options. Each call takes only those that mean something to it,
// so that a wrong one does not compile.
type (
	// PutOption is an option of Put and PutMany.
	PutOption interface{ applyPut(*call) }
	// ImportOption is an option of Import and OpenImport.
	ImportOption interface{ applyImport(*call) }
	// GetOption is an option of Get and BatchGet.
	GetOption interface{ applyGet(*call) }
	// ListOption is an option of List.
	ListOption interface{ applyList(*call) }
	// UpdateOption is an option of Update.
	UpdateOption interface{ applyUpdate(*call) }
	// DeleteOption is an option of Delete.
	DeleteOption interface{ applyDelete(*call) }
	// TokenizeOption is an option of Tokenize and TokenizeOne.
	TokenizeOption interface{ applyTokenize(*call) }
	// RevealOption is an option of Detokenize and its relatives.
	RevealOption interface{ applyReveal(*call) }
	// ReadOption is an option of ReadRecord; every RevealOption is one.
	ReadOption interface{ applyRead(*call) }
	// PolicyOption is an option of ApplyPolicy.
	PolicyOption interface{ applyPolicy(*call) }
	// AuditOption is an option of AuditPage and AuditEntries.
	AuditOption interface{ applyAudit(*call) }
	// WatchOption is an option of WatchAudit.
	WatchOption interface{ applyWatch(*call) }
	// HoneyOption is an option of MarkHoney.
	HoneyOption interface{ applyHoney(*call) }
	// KeysOption is an option of Keys.
	KeysOption interface{ applyKeys(*call) }
	// RotateOption is an option of RotateKey.
	RotateOption interface{ applyRotate(*call) }
	// DestroyOption is an option of DestroyKey.
	DestroyOption interface{ applyDestroy(*call) }
	// WatchKeysOption is an option of WatchKeyWork.
	WatchKeysOption interface{ applyWatchKeys(*call) }
)

// DomainOption is what InDomain returns.
type DomainOption struct{ domain string }

// InDomain asks for tokens of that domain instead of the client's.
func InDomain(domain string) DomainOption { return DomainOption{domain} }

func (o DomainOption) applyPut(c *call)      { c.domain = o.domain }
func (o DomainOption) applyGet(c *call)      { c.domain = o.domain }
func (o DomainOption) applyList(c *call)     { c.domain = o.domain }
func (o DomainOption) applyUpdate(c *call)   { c.domain = o.domain }
func (o DomainOption) applyTokenize(c *call) { c.domain = o.domain }

// RequestIDOption is what RequestID returns.
type RequestIDOption struct{ id string }

// RequestID names a write, at most 128 bytes: the vault does not do it again
// within 24 hours and gives the same answer. Without it the client makes a
// random one for each call; give one that is stored with the work to be safe
// across restarts of the caller, too.
func RequestID(id string) RequestIDOption { return RequestIDOption{id} }

func (o RequestIDOption) applyPut(c *call)    { c.requestID = o.id }
func (o RequestIDOption) applyUpdate(c *call) { c.requestID = o.id }
func (o RequestIDOption) applyDelete(c *call) { c.requestID = o.id }

// ETagOption is what IfETag returns.
type ETagOption struct{ etag string }

// IfETag changes or deletes the record only if this is its current etag.
func IfETag(etag string) ETagOption { return ETagOption{etag} }

func (o ETagOption) applyUpdate(c *call) { c.etag = o.etag }
func (o ETagOption) applyDelete(c *call) { c.etag = o.etag }

// UpsertOption is what Upsert returns.
type UpsertOption struct{}

// Upsert changes an existing record instead of refusing it: the fields given
// replace those of that name, others stay.
func Upsert() UpsertOption { return UpsertOption{} }

func (UpsertOption) applyPut(c *call)    { c.upsert = true }
func (UpsertOption) applyImport(c *call) { c.upsert = true }

type updateOption func(*call)

func (o updateOption) applyUpdate(c *call) { o(c) }

// Mask names the fields to change: those with values get them, those without
// lose theirs. Without it the fields given are changed.
func Mask(fields ...string) UpdateOption {
	return updateOption(func(c *call) { c.mask = append(c.mask, fields...) })
}

// Clear removes the values of these fields, beside the changes given.
func Clear(fields ...string) UpdateOption {
	return updateOption(func(c *call) { c.clear = append(c.clear, fields...) })
}

// PageSizeOption is what PageSize returns.
type PageSizeOption struct{ n int }

// PageSize sets how many records or audit entries one call fetches, 1 to 1,000;
// the vault's default is 100. It does not limit how many List and AuditEntries
// give.
func PageSize(n int) PageSizeOption { return PageSizeOption{n} }

func (o PageSizeOption) applyList(c *call)  { c.pageSize = o.n }
func (o PageSizeOption) applyAudit(c *call) { c.pageSize = o.n }

type auditOption func(*call)

func (o auditOption) applyAudit(c *call) { o(c) }

// NewestFirst gives the entries from the newest to the oldest.
func NewestFirst() AuditOption {
	return auditOption(func(c *call) { c.newest = true })
}

type watchOption func(*call)

func (o watchOption) applyWatch(c *call) { o(c) }

// FromIndex begins the watch at this entry. Without it, it begins with what
// comes from now on.
func FromIndex(index uint64) WatchOption {
	return watchOption(func(c *call) { c.from = &index })
}

// WatchEventOption is an option of every watch.
type WatchEventOption func(*call)

func (o WatchEventOption) applyWatch(c *call)     { o(c) }
func (o WatchEventOption) applyWatchKeys(c *call) { o(c) }

// OnReconnect calls f with the reason (an *Error) each time before a broken
// watch is opened again. f must not block.
func OnReconnect(f func(error)) WatchEventOption {
	return func(c *call) { c.reconnect = f }
}

// OnRecovery calls f each time a watch that OnReconnect told of works again; one
// of the audit log goes on where it broke, without a gap. f must not block.
func OnRecovery(f func()) WatchEventOption {
	return func(c *call) { c.recovered = f }
}

type honeyOption func(*call)

func (o honeyOption) applyHoney(c *call) { o(c) }

// RefuseReveals answers reveals of the honey record as if there were nothing.
// Without it they are answered as usual. Both raise the alarm.
func RefuseReveals() HoneyOption {
	return honeyOption(func(c *call) { c.refuse = true })
}

type keysOption func(*call)

func (o keysOption) applyKeys(c *call) { o(c) }

// CountValues counts what is stored under each version now. Without it the last
// count is given.
func CountValues() KeysOption {
	return keysOption(func(c *call) { c.count = true })
}

type rotateOption func(*call)

func (o rotateOption) applyRotate(c *call) { o(c) }

// AddOnly makes the version only; PromoteKey puts it to use.
func AddOnly() RotateOption {
	return rotateOption(func(c *call) { c.addOnly = true })
}

type destroyOption func(*call)

func (o destroyOption) applyDestroy(c *call) { o(c) }

// Force asks for the destruction although values need the version. Two others
// must approve it, and then everything under it is lost.
func Force() DestroyOption {
	return destroyOption(func(c *call) { c.force = true })
}

type watchKeysOption func(*call)

func (o watchKeysOption) applyWatchKeys(c *call) { o(c) }

// UntilIdle ends the watch when no work is running or waiting. Paused work does
// not keep it open.
func UntilIdle() WatchKeysOption {
	return watchKeysOption(func(c *call) { c.untilIdle = true })
}

// RevealReadOption is an option of every call that reveals.
type RevealReadOption func(*call)

func (o RevealReadOption) applyReveal(c *call) { o(c) }
func (o RevealReadOption) applyRead(c *call)   { o(c) }

// AsView asks for this view; a view that is not held is refused. Without it the
// vault gives the widest view held, so look at Revealed.View.
func AsView(view View) RevealReadOption {
	return func(c *call) { c.view = view }
}

// Reason puts a code or ticket into the audit log: at most 128 bytes of
// letters, digits and "-_.:/#". No free text, no personal data.
func Reason(code string) RevealReadOption {
	return func(c *call) { c.reason = code }
}

type readOption func(*call)

func (o readOption) applyRead(c *call) { o(c) }

// OnlyFields asks for these fields. One that is not allowed is answered with
// its error. Without it every field that the caller may see is given.
func OnlyFields(fields ...string) ReadOption {
	return readOption(func(c *call) { c.fields = append(c.fields, fields...) })
}

type policyOption func(*call)

func (o policyOption) applyPolicy(c *call) { o(c) }

// ExpectVersion applies the policy only if this is the current version; 0 is
// the version of a vault that has no policy yet.
func ExpectVersion(version uint64) PolicyOption {
	return policyOption(func(c *call) { c.expected = &version })
}

// ValidateOnly checks everything and applies nothing.
func ValidateOnly() PolicyOption {
	return policyOption(func(c *call) { c.validate = true })
}
