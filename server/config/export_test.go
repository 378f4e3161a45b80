package config

// CheckAt is Check at another time.
var CheckAt = (*Config).check
