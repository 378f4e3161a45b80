package transittest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
)

// Transport is an http.RoundTripper that hands requests to the Server without
// a network, so that a test can own the clock (testing/synctest).
func (s *Server) Transport() http.RoundTripper { return inside{s} }

type inside struct{ s *Server }

// RoundTrip implements http.RoundTripper.
func (t inside) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		text, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(text))
	} else {
		r = r.Clone(r.Context())
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.s.ServeHTTP(w, r)
	}()
	<-done
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}
