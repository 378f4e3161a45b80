package devca

// CreateAt and OpenAt take a clock.
var (
	CreateAt = create
	OpenAt   = open
)
