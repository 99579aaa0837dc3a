package broker_test

import (
	"sync/atomic"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/store"
	"github.com/topicwire/topicwire/internal/journal"
	"github.com/topicwire/topicwire/internal/natsd"
)

// slow is a disk that takes its time: as long as it is held, nothing is written.
type slow struct {
	*natsd.Server
	writes chan chan struct{} // each write asks for leave
	n      atomic.Int64       // writes
}

// Room is asked before each write, of n bytes.
func (s *slow) Room(n int, last bool) error {
	if n == 0 {
		return s.Server.Room(n, last)
	}
	s.n.Add(1)
	leave := make(chan struct{})
	select {
	case s.writes <- leave:
		<-leave
	default: // nobody holds it
	}
	return s.Server.Room(n, last)
}

// A slow disk holds up the acknowledgements that have to wait for it and nothing else:
// not the reader of the client that waits, not other clients, not deliveries. What came
// meanwhile is written at once.
func TestSlowDisk(t *testing.T) {
	server, err := natsd.Open(t.Context(), natsd.Config{Dir: t.TempDir()}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	disk := &slow{Server: server, writes: make(chan chan struct{})}
	j := journal.New(disk, journal.Options{})
	kept := store.NewDurable(j)
	if err := j.Replay(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	s := serve(t, setup{opts: broker.Options{Store: kept}})
	s.connect(5, "away", persistent).subscribeAndLeave("kept/#", 1)
	live := s.connect(5, "live")
	live.subscribe("#", 0)
	pub, other := s.connect(5, "pub"), s.connect(5, "other")

	held := make(chan chan struct{}, 1)
	go func() { held <- <-disk.writes }()
	const n = 50
	for id := range uint16(n) {
		pub.send(publishPacket("kept/x", "x", 1, id+1))
		live.wantMessage("kept/x", "x") // its reader goes on, and so do deliveries
	}
	leave := <-held
	other.publish("other", "y")
	live.wantMessage("other", "y")
	pub.quiet() // nothing is acknowledged
	before := disk.n.Load()
	close(leave)
	for id := range uint16(n) {
		if got := pub.want(packets.Puback); got.PacketID != id+1 || got.ReasonCode >= 0x80 {
			t.Fatalf("PUBACK %d with %#x, want %d", got.PacketID, got.ReasonCode, id+1)
		}
	}
	if writes := disk.n.Load() - before; writes > 2 {
		t.Errorf("%d writes for what came during one", writes)
	}
}
