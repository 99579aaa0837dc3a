package function

import (
	"bufio"
	"bytes"
	"net"
	"strconv"
	"testing"

	"github.com/topicwire/topicwire/message"
)

// trivialServer answers every request with the same few bytes, and costs next to nothing:
// what is measured is the client.
func trivialServer(tb testing.TB) (url string) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answerAll(c)
		}
	}()
	return "http://" + l.Addr().String()
}

func answerAll(c net.Conn) {
	defer c.Close()
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Amz-Executed-Version: $LATEST\r\nContent-Length: 11\r\n\r\n{\"ok\":true}")
	in := bufio.NewReader(c)
	for {
		length := 0
		for {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) <= 2 {
				break
			}
			if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
				length, _ = strconv.Atoi(string(bytes.TrimSpace(v)))
			}
		}
		if _, err := in.Discard(length); err != nil {
			return
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// benchmarkInvoke calls a function from 64 goroutines; the server that answers is in
// the same process and has its share of the time.
func benchmarkInvoke(b *testing.B, c func(url string) Config) {
	b.Helper()
	url := trivialServer(b)
	f := lookup(b, registry(b, map[string]Config{"f": c(url)}), "f")
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
