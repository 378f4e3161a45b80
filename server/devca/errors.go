package devca

import "errors"

var (
	// ErrExists: the directory holds an authority, or a part of one, already.
	ErrExists = errors.New("a certificate authority exists already")
	// ErrNotFound: the directory holds no authority.
	ErrNotFound = errors.New("no certificate authority")
	// ErrDamaged: the files of the authority are not what Create wrote.
	ErrDamaged = errors.New("the certificate authority is damaged")
	// ErrDenied: others than the owner may read the key of the authority.
	ErrDenied = errors.New("the key of the certificate authority is not safe")
	// ErrExpired: the authority is past its time, or not yet in it.
	ErrExpired = errors.New("the certificate authority is not valid today")
	// ErrName: the name of a certificate, a host or a SPIFFE ID breaks a rule.
	ErrName = errors.New("not a usable name")
)
