package function

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/topicwire/topicwire/message"
)

// benchmarkInvoke calls a function from 64 goroutines; the server that answers is in
// the same process and has its share of the time.
func benchmarkInvoke(b *testing.B, c func(url string) Config) {
	b.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write([]byte(`{"ok":true}`))
	}))
	b.Cleanup(s.Close)
	f := lookup(b, registry(b, map[string]Config{"f": c(s.URL)}), "f")
	payload := make([]byte, 240)
	for i := range payload {
		payload[i] = '1'
	}
	ctx := WithCall(b.Context(), Call{
		RequestID: message.NewID(), Rule: "rule", Topic: "site/berlin/machine/7", ClientID: "device-1",
	})
	b.SetParallelism(32) // times GOMAXPROCS
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := f.Invoke(ctx, payload); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "invocations/s")
}

func BenchmarkHTTP(b *testing.B) {
	benchmarkInvoke(b, func(url string) Config { return Config{HTTP: url} })
}

func BenchmarkAWS(b *testing.B) {
	b.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	b.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
	benchmarkInvoke(b, func(url string) Config { return Config{Lambda: "f", Endpoint: url} })
}
