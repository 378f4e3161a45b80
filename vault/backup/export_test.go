package backup

import "io"

// OpenPlain reads what stands in the chunks of an artefact, for fuzzing past
// the lock.
func OpenPlain(r io.Reader, h Header) (*Reader, error) { return openPlain(r, h) }

// ChunkSize is the length of what a chunk holds, and Overhead what it takes more.
const (
	ChunkSize = chunkSize
	Overhead  = overhead
)

// Plain deciphers all chunks of an artefact.
func Plain(r io.Reader, key *[32]byte) ([]byte, error) {
	_, hash, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	lock, err := newLock(key, hash)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(newChunkReader(r, lock))
}
