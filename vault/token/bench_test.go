package token_test

import "testing"

func BenchmarkAppend(b *testing.B) {
	c, _ := newCodec(b)
	dst := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Append(dst, some); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	c, _ := newCodec(b)
	text := mint(b, c, some)
	b.Run("string", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Parse(text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bytes", func(b *testing.B) {
		raw := []byte(text)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.ParseBytes(raw); err != nil {
				b.Fatal(err)
			}
		}
	})
}
