package policy

// FieldID is the number of a field, 1 to MaxFieldID, unique over all
// collections of a vault and never reused. 0 is no field.
type FieldID uint32

// CollectionID is the number of a collection. 0 is no collection.
type CollectionID uint16

// PurposeID is the number of a purpose. 0 is no purpose.
type PurposeID uint16

// DomainID is the number of a token domain. 0 is no domain.
type DomainID uint16

// DefaultDomain is the number of the domain "default", which always exists.
const DefaultDomain DomainID = 1

// DefaultDomainName is the name of the domain that always exists.
const DefaultDomainName = "default"

// MaxFieldID is the greatest field number: tokens hold it in three bytes.
const MaxFieldID FieldID = 1<<24 - 1

// Limits of one document.
const (
	MaxDocument    = 1 << 20 // bytes
	MaxPurposes    = 256
	MaxDomains     = 256 // the default domain included
	MaxCollections = 256
	MaxFields      = 4096 // of all collections together
	MaxRoles       = 1024
	MaxRules       = 4096 // of all roles together
	MaxPrincipals  = 4096
	MaxItems       = 1000 // items of one field ("multi")
	MaxRetention   = 36500
)

// maxCells bounds the memory of the compiled tables: four bytes a cell.
const maxCells = 1 << 24
