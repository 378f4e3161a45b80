package backup

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const (
	chunkSize  = 64 << 10
	overhead   = 12 + 16
	kekLabel   = "cloakroom/backup/v1"
	chunkLabel = "cloakroom/backup-chunk/v1"
)

// kekAAD is what the key of an artefact is bound to at its KEK, which may see
// it.
func kekAAD(vault ID, kind Kind) []byte {
	return append(append([]byte(kekLabel), vault[:]...), byte(kind))
}

// lock seals the chunks of one artefact. Its key is used for nothing else, and
// its nonces are random, so that 2^32 chunks are safe.
type lock struct {
	gcm    cipher.AEAD
	ad     []byte // number and flag at the end
	number uint64
}

func newLock(key *[keys.SecretSize]byte, header [sha256.Size]byte) (*lock, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	ad := append([]byte(chunkLabel), header[:]...)
	return &lock{gcm: gcm, ad: append(ad, make([]byte, 9)...)}, nil
}

// next returns the associated data of the next chunk.
func (l *lock) next(last bool) []byte {
	at := len(l.ad) - 9
	binary.BigEndian.PutUint64(l.ad[at:], l.number)
	l.ad[at+8] = 0
	if last {
		l.ad[at+8] = 1
	}
	l.number++
	return l.ad
}

// chunkWriter enciphers what is written to it.
type chunkWriter struct {
	w     io.Writer
	lock  *lock
	plain []byte // up to chunkSize
	out   []byte
}

func newChunkWriter(w io.Writer, l *lock) *chunkWriter {
	return &chunkWriter{w: w, lock: l, plain: make([]byte, 0, chunkSize), out: make([]byte, 0, chunkSize+overhead)}
}

// Write implements io.Writer. A full chunk waits for what follows it, since
// the last one is another.
func (c *chunkWriter) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		if len(c.plain) == chunkSize {
			if err := c.flush(false); err != nil {
				return 0, err
			}
		}
		n := copy(c.plain[len(c.plain):chunkSize], p)
		c.plain, p = c.plain[:len(c.plain)+n], p[n:]
	}
	return written, nil
}

// Close writes the last chunk.
func (c *chunkWriter) Close() error {
	err := c.flush(true)
	clear(c.plain[:chunkSize])
	return err
}

func (c *chunkWriter) flush(last bool) error {
	c.out = c.lock.gcm.Seal(c.out[:0], nil, c.plain, c.lock.next(last))
	c.plain = c.plain[:0]
	_, err := c.w.Write(c.out)
	return err
}

// chunkReader deciphers chunks. It returns io.EOF after the last one.
type chunkReader struct {
	r     *bufio.Reader
	lock  *lock
	in    []byte
	out   []byte
	plain []byte // what is left of the present chunk, in out
	last  bool
}

func newChunkReader(r io.Reader, l *lock) *chunkReader {
	return &chunkReader{r: bufio.NewReaderSize(r, chunkSize+overhead), lock: l, in: make([]byte, chunkSize+overhead), out: make([]byte, 0, chunkSize)}
}

// Read implements io.Reader. What was returned is authentic and in its place.
func (c *chunkReader) Read(p []byte) (int, error) {
	if len(c.plain) == 0 {
		if c.last {
			return 0, io.EOF
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.plain)
	c.plain = c.plain[n:]
	return n, nil
}

func (c *chunkReader) fill() error {
	n, err := io.ReadFull(c.r, c.in)
	switch {
	case err == nil:
		if _, err := c.r.Peek(1); errors.Is(err, io.EOF) {
			c.last = true
		} else if err != nil {
			return err
		}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		c.last = true
	default:
		return err
	}
	at := c.lock.number
	if n <= overhead {
		return fmt.Errorf("%w: it ends before chunk %d", ErrDamaged, at)
	}
	if c.plain, err = c.lock.gcm.Open(c.out, nil, c.in[:n], c.lock.next(c.last)); err != nil {
		if c.last {
			return fmt.Errorf("%w: it is cut off or changed at chunk %d, the last", ErrDamaged, at)
		}
		return fmt.Errorf("%w: chunk %d was changed", ErrDamaged, at)
	}
	return nil
}
