package boltstore_test

func child() bool { return false }
