package natsd_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/topicwire/topicwire/internal/natsd"
)

// After a power cut the index may know messages that are not in the files. A server
// that has not ended in good order does without it: the stream has an end and no hole.
func TestIndexThatIsAhead(t *testing.T) {
	dir := t.TempDir()
	s := open(t, natsd.Config{Dir: dir})
	put(t, s, 10)
	if err := s.Sync(); err != nil {
		t.Error(err)
	}
	s.Close()
	blocks, _ := filepath.Glob(filepath.Join(dir, "jetstream/*/streams/*/msgs/*.blk"))
	if len(blocks) != 1 {
		t.Fatalf("files %v", blocks)
	}
	info, err := os.Stat(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(blocks[0], info.Size()/2); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "lock"), 0); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s = open(t, natsd.Config{Dir: dir})
		state := put(t, s, 1)
		if state.Msgs < 2 || state.Msgs > 9 || state.LastSeq != state.Msgs {
			t.Errorf("%d messages, and the last is number %d", state.Msgs, state.LastSeq)
		}
		s.Close()
	}
}

// put publishes n messages and returns the stream's state after that.
func put(t *testing.T, s *natsd.Server, n int) jetstream.StreamState {
	t.Helper()
	conn, _ := s.Link()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if _, err := js.Publish(t.Context(), "s", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State
}
