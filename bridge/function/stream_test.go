package function

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// collect gathers a streamed answer: each chunk, with its event and id if it has them.
func collect(t *testing.T, c Config, fail error) (chunks []string, out string, err error) {
	t.Helper()
	out, err = invokeFor(t, Call{Stream: func(c Chunk) error {
		s := string(c.Data)
		if c.Event != "" || c.ID != "" {
			s = c.Event + "#" + c.ID + ":" + s
		}
		chunks = append(chunks, s)
		return fail
	}}, c, "{}")
	return chunks, out, err
}

func TestServerSentEventsAreChunks(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		// Each piece arrives by itself, and line ends are cut in two.
		for _, piece := range []string{
			"\ufeffdata: one\n\n", ": comment\n\n", "event: delta\r", "\nid: 7\r\ndata: two\r", "\n", "\r\n",
			"data: a\ndata:b\n\n", "data\n\n", "retry: 5\n\n", "id: 8\n\ndata:  [DONE]\r\r", "data: not finished",
		} {
			fmt.Fprint(w, piece)
			_ = http.NewResponseController(w).Flush()
		}
	})
	chunks, out, err := collect(t, Config{HTTP: url}, nil)
	want := []string{"one", "delta#7:two", "#7:a\nb", "#7:", "#8: [DONE]"}
	if err != nil || out != "" || fmt.Sprint(chunks) != fmt.Sprint(want) {
		t.Errorf("got %q, %q, %v; want %q", chunks, out, err, want)
	}
}

func TestChunkedAnswerIsStreamed(t *testing.T) {
	steps := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, piece := range []string{"h\xc3", "\xa4l", "lo", "\xf0\x9f", "\x98\x80", "\xff"} {
			fmt.Fprint(w, piece)
			_ = http.NewResponseController(w).Flush()
			steps <- struct{}{}
		}
	})
	go func() {
		for ok := true; ok; {
			_, ok = <-steps // lets the server go on
		}
	}()
	defer close(steps)
	chunks, out, err := collect(t, Config{HTTP: url}, nil)
	if err != nil || out != "" || strings.Join(chunks, "") != "hällo😀\xff" {
		t.Errorf("got %q, %q, %v", chunks, out, err)
	}
	for _, c := range chunks[:len(chunks)-1] {
		if strings.ToValidUTF8(c, "?") != c {
			t.Errorf("a character was cut in two: %q", c)
		}
	}
}

func TestWholeAnswerIsNotStreamed(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "whole") })
	if chunks, out, err := collect(t, Config{HTTP: url}, nil); err != nil || out != "whole" || chunks != nil {
		t.Errorf("got %q, %q, %v", chunks, out, err)
	}
}

func TestStreamBreaksOff(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "some")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	if chunks, _, err := collect(t, Config{HTTP: url}, nil); err == nil || fmt.Sprint(chunks) != "[some]" {
		t.Errorf("got %q, %v", chunks, err)
	}
	enough := errors.New("enough")
	endless := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			fmt.Fprint(w, strings.Repeat("x", 1000))
			_ = http.NewResponseController(w).Flush()
		}
	})
	if chunks, _, err := collect(t, Config{HTTP: endless}, enough); !errors.Is(err, enough) || len(chunks) != 1 {
		t.Errorf("got %d chunks, %v", len(chunks), err)
	}
}

// eventStream writes Lambda's answer to InvokeWithResponseStream.
func eventStream(t *testing.T, w http.ResponseWriter, kind, payload string) {
	t.Helper()
	var h eventstream.Headers
	h.Set(":message-type", eventstream.StringValue("event"))
	h.Set(":event-type", eventstream.StringValue(kind))
	h.Set(":content-type", eventstream.StringValue("application/octet-stream"))
	var b bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&b, eventstream.Message{Headers: h, Payload: []byte(payload)}); err != nil {
		t.Error(err)
	}
	_, _ = w.Write(b.Bytes())
	_ = http.NewResponseController(w).Flush()
}

func TestAWSStream(t *testing.T) {
	noCredentials(t)
	endpoint := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == listPath { // asked for what the older one is
			w.Header().Set("X-Amzn-ErrorType", "AccessDeniedException")
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if !strings.HasPrefix(r.URL.Path, streamPath) {
			t.Errorf("called %s", r.URL.Path)
		}
		name := strings.Split(r.URL.Path, "/")[3]
		if name == "older" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
		eventStream(t, w, "PayloadChunk", "one ")
		eventStream(t, w, "PayloadChunk", "two")
		switch name {
		case "good":
			eventStream(t, w, "InvokeComplete", `{"LogResult":"`+base64.StdEncoding.EncodeToString([]byte("END"))+`"}`)
		case "throws":
			eventStream(t, w, "InvokeComplete", `{"ErrorCode":"Unhandled","ErrorDetails":"{\"errorType\":\"TypeError\",\"errorMessage\":\"no\"}"}`)
		}
	})
	at := func(name string) ([]string, error) {
		chunks, out, err := collect(t, Config{Lambda: name, Endpoint: endpoint}, nil)
		if out != "" {
			t.Errorf("%s: got %q besides the chunks", name, out)
		}
		return chunks, err
	}
	if chunks, err := at("good"); err != nil || fmt.Sprintf("%q", chunks) != `["one " "two"]` {
		t.Errorf("good: %q, %v", chunks, err)
	}
	var own *Error
	if chunks, err := at("throws"); !errors.As(err, &own) || own.Type != "TypeError" || own.Message != "no" || len(chunks) != 2 {
		t.Errorf("throws: %q, %v", chunks, err)
	}
	if chunks, err := at("cut"); err == nil || len(chunks) != 2 {
		t.Errorf("cut: %q, %v", chunks, err)
	}
	if _, err := at("older"); !errors.Is(err, ErrNoStream) {
		t.Errorf("older: %v", err)
	}
}

func TestTraceTravels(t *testing.T) {
	noCredentials(t)
	var header http.Header
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		w.Header().Set("X-Amz-Executed-Version", "1")
	})
	call := Call{Hops: 4}
	call.User = append(call.User, struct{ Key, Value string }{"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
	if _, err := invokeFor(t, call, Config{HTTP: url}, "{}"); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(header.Get("Traceparent"), "00-0af7651916cd43dd8448eb211c80319c-") || header.Get("Tracestate") != "topicwire=4" {
		t.Errorf("HTTP: %v", header)
	}
	if _, err := invokeFor(t, call, Config{Lambda: "f", Endpoint: url}, "{}"); err != nil {
		t.Fatal(err)
	}
	if x := header.Get("X-Amzn-Trace-Id"); !strings.HasPrefix(x, "Root=1-0af76519-16cd43dd8448eb211c80319c;") || !strings.HasSuffix(x, ";Lineage=4:746f7069:4") {
		t.Errorf("AWS: %s", x)
	}
}
