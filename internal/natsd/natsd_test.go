package natsd_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/topicwire/topicwire/internal/natsd"
)

func open(t *testing.T, c natsd.Config) *natsd.Server {
	t.Helper()
	s, err := natsd.Open(t.Context(), c, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestTwoServersOnOneFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first := open(t, natsd.Config{Dir: dir})
	_, err := natsd.Open(t.Context(), natsd.Config{Dir: dir}, zerolog.Nop())
	if !errors.Is(err, natsd.ErrInUse) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "set store.dir") {
		t.Errorf("got %v", err)
	}
	first.Close()
	open(t, natsd.Config{Dir: dir})
}

func TestFolderThatCannotBeOne(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := natsd.Open(t.Context(), natsd.Config{Dir: filepath.Join(file, "data")}, zerolog.Nop())
	if err == nil || !strings.Contains(err.Error(), "store.dir") || !strings.Contains(err.Error(), "not a directory") || !strings.Contains(err.Error(), "let the user") {
		t.Errorf("got %v", err)
	}
}

func TestServerThatIsNotThere(t *testing.T) {
	_, err := natsd.Open(t.Context(), natsd.Config{NATS: natsd.External{URL: "nats://127.0.0.1:1"}}, zerolog.Nop())
	if err == nil || !strings.Contains(err.Error(), "store.nats") || !strings.Contains(err.Error(), "start it, or correct store.nats") {
		t.Errorf("got %v", err)
	}
}

// What was written is there in the next life of the server, and nothing listens.
func TestEmbedded(t *testing.T) {
	for _, d := range []natsd.Durability{natsd.Fast, natsd.Interval, natsd.Fsync} {
		t.Run(string(d), func(t *testing.T) {
			dir := t.TempDir()
			for life := range 2 {
				s := open(t, natsd.Config{Dir: dir, Durability: d})
				conn, alive := s.Link()
				if alive.Err() != nil || s.Room(1, false) != nil || s.Place() != dir {
					t.Error("it does not say that all is well")
				}
				js, err := jetstream.New(conn)
				if err != nil {
					t.Fatal(err)
				}
				stream, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
				if err != nil {
					t.Fatal(err)
				}
				if n := stream.CachedInfo().State.Msgs; n != uint64(life) {
					t.Errorf("%d messages in life %d", n, life)
				}
				if _, err := js.Publish(t.Context(), "s", []byte("x")); err != nil {
					t.Fatal(err)
				}
				s.Mend(t.Context()) // there is nothing to mend
				s.Close()
				if alive.Err() == nil {
					t.Error("the connection lives on")
				}
			}
		})
	}
}

// externalServer is a NATS server of its own in dir, on a port that it keeps.
func externalServer(t *testing.T, dir string, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("it does not start")
	}
	return s
}

const patience = 20 * time.Second

// An external server that has gone is away, and comes back.
func TestExternalServerThatIsAway(t *testing.T) {
	dir := t.TempDir()
	first := externalServer(t, dir, server.RANDOM_PORT)
	address, _ := first.Addr().(*net.TCPAddr)
	s := open(t, natsd.Config{NATS: natsd.External{URL: "nats://" + address.String()}})
	if err := s.Away(); err != nil {
		t.Error(err)
	}
	_, life := s.Link()
	first.Shutdown()
	select {
	case <-life.Done():
	case <-time.After(patience):
		t.Fatal("its end is not noticed")
	}
	if err := s.Away(); !errors.Is(err, natsd.ErrLost) {
		t.Errorf("got %v", err)
	}
	first.WaitForShutdown()
	externalServer(t, dir, address.Port)
	for end := time.Now().Add(patience); s.Away() != nil; {
		if time.Now().After(end) {
			t.Fatal("it does not come back")
		}
		<-time.After(time.Millisecond)
	}
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}
