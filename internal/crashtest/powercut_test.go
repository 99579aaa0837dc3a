package crashtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/topicwire/topicwire/internal/testkit/machine"
	"github.com/topicwire/topicwire/internal/testkit/machine/task"
)

// mains is a place whose power can be cut: a virtual machine with a disk.
type mains struct {
	*machine.Machine
	t    *testing.T
	disk *machine.Disk
	rng  *rand.Rand // of what the disk's cache leaves
}

func (m *mains) start() string {
	m.t.Helper()
	began := time.Now()
	m.PowerOn()
	m.Await(`"message":"ready"`)
	m.t.Logf("ready %v after the power came", time.Since(began).Round(time.Millisecond))
	return m.Address()
}

func (m *mains) kill() { m.PowerCut(m.rng) }

// newMains prepares a machine that runs topicwire for the world.
func newMains(w *world, durability string) *mains {
	w.t.Helper()
	const port = 1883
	store := fmt.Sprintf("{dir: %s, durability: %s}", filepath.Join(task.Data, "store"), durability)
	m := &mains{t: w.t, disk: machine.NewDisk(w.t, 512), rng: rand.New(rand.NewPCG(w.seed, 1))}
	m.Machine = machine.New(w.t, machine.Options{
		Processors: 2, Memory: 1024, Disk: m.disk, Port: port, Calls: w.function,
		Programs: map[string]string{"/topicwire": "./cmd/topicwire"},
		Texts:    map[string]string{"/config.yaml": configuration(fmt.Sprintf("127.0.0.1:%d", port), store, fmt.Sprintf("127.0.0.1:%d", machine.CallsPort))},
		Command:  []string{"/topicwire", "serve", "--config", "/config.yaml", "--log-format", "json"},
	})
	w.place = m
	w.patience = machine.Patience
	return m
}

// Whenever the power is cut: with durability fsync nothing is lost that was
// acknowledged, and nothing else is promised less than after a kill.
func TestPowerCut(t *testing.T) {
	seed := setting("TOPICWIRE_SEED", uint64(time.Now().UnixNano()))
	cuts := int(setting("TOPICWIRE_CUTS", 1))
	t.Logf("TOPICWIRE_SEED=%d TOPICWIRE_CUTS=%d", seed, cuts)
	w := emptyWorld(t, seed)
	w.most, w.least = 20_000, 20 // an emulated processor is slow
	m := newMains(w, "fsync")
	w.start()
	w.load()
	for range cuts {
		w.pause(300, 5000)
		w.kill()
		w.start()
	}
	w.settle()
	w.check()
	t.Logf("the disk: %+v", m.disk.Stats())
}

// What a power cut costs with each durability. With fsync nothing; with the others the
// last messages: what is left has no hole, and what is older is there.
func TestPowerCutLoss(t *testing.T) {
	if os.Getenv("TOPICWIRE_CUTS") == "" {
		t.Skip("it takes minutes: make powercut runs it")
	}
	for durability, load := range map[string]int{"fsync": 3000, "interval": 5000, "fast": 20_000} { // how long, in ms
		t.Run(durability, func(t *testing.T) {
			seed := setting("TOPICWIRE_SEED", uint64(time.Now().UnixNano()))
			cuts := int(setting("TOPICWIRE_CUTS", 1))
			t.Logf("TOPICWIRE_SEED=%d TOPICWIRE_CUTS=%d", seed, cuts)
			w := emptyWorld(t, seed)
			m := newMains(w, durability)
			l := &losses{world: w, machine: m, durability: durability, load: load, lost: map[string]int{}}
			w.start()
			l.prepare()
			for cut := range cuts {
				l.round(cut)
			}
			t.Logf("of %d messages %d were not delivered and %d not invoked, the oldest acknowledged %v before a cut; the disk: %+v",
				l.acked, l.lost["delivered"], l.lost["invoked"], l.oldest.Round(time.Millisecond), m.disk.Stats())
		})
	}
}

// losses counts what power cuts cost.
type losses struct {
	*world
	machine    *mains
	durability string
	load       int
	away       *session
	acked      int
	lost       map[string]int // by what did not happen to them
	oldest     time.Duration
}

const archived = 20 // retained messages that are older than any cut

// prepare leaves behind what every cut has to leave alone.
func (l *losses) prepare() {
	l.t.Helper()
	l.away = newSession("away", filter("load/#", 1))
	link := l.dial(l.away)
	l.within(l.away, "its SUBACK", func() bool { return l.away.joined })
	link.close()
	p := newSession("archive")
	link = l.dial(p)
	for n := range archived {
		link.publish(&flight{topic: "archive/" + strconv.Itoa(n), payload: strconv.Itoa(n), qos: 1, retain: true})
	}
	l.within(p, "acknowledgements", func() bool { return len(p.flights) == 0 })
	link.close()
	l.machine.Sync()
}

func (l *losses) dial(s *session) *link {
	l.t.Helper()
	link := l.connect(s)
	if link == nil {
		l.t.Fatal("no connection")
	}
	return link
}

// round is one cut under load, and the books after it.
func (l *losses) round(cut int) {
	l.t.Helper()
	acked := map[string]map[int]time.Time{} // when, by publisher
	stop := make(chan struct{})
	var senders []*session
	for _, name := range []string{"first", "second"} {
		s := newSession(fmt.Sprintf("%s-%d", name, cut))
		senders = append(senders, s)
		when := map[int]time.Time{}
		acked[s.id] = when
		link := l.dial(s)
		l.clients.Go(func() { l.send(link, s, "load/1", false, 2000, stop, func(n int) { when[n] = time.Now() }) })
	}
	churn := newSession(fmt.Sprint("churn-", cut)) // makes the store throw away what is old
	churning := l.dial(churn)
	l.clients.Go(func() { l.send(churning, churn, "churn/1", true, 200_000, stop, func(int) {}) })
	l.pause(l.load/2, 2*l.load)
	at := time.Now()
	l.kill()
	close(stop)
	l.clients.Wait()
	l.start()

	// What is there comes before the marker.
	marker := newSession(fmt.Sprint("marker-", cut))
	link := l.dial(marker)
	end := marker.id + " 0 "
	link.publish(&flight{topic: "load/1", payload: end, qos: 1})
	back := l.dial(l.away)
	l.within(l.away, "the marker", func() bool { return len(l.away.got) > 0 && l.away.got[len(l.away.got)-1].payload == end })
	for _, lost := range l.away.lost {
		l.t.Error(lost)
	}
	l.untilInvoked(end)
	arrived := map[string]map[int]bool{}
	for _, d := range l.away.got {
		note(arrived, d.payload)
	}
	invoked := map[string]map[int]bool{}
	l.mu.Lock()
	for _, i := range l.invoked {
		note(invoked, i.payload)
	}
	l.mu.Unlock()
	for _, s := range senders {
		l.acked += len(acked[s.id])
		l.count(cut, "delivered", acked[s.id], arrived[s.id], at)
		l.count(cut, "invoked", acked[s.id], invoked[s.id], at)
	}
	l.checkArchive(cut)
	back.close()
	link.close()
	l.machine.Sync()
}

func note(seen map[string]map[int]bool, payload string) {
	id, n := number(payload)
	if seen[id] == nil {
		seen[id] = map[int]bool{}
	}
	seen[id][n] = true
}

// send publishes until it is told to stop or the connection ends.
func (l *losses) send(link *link, s *session, topic string, retain bool, most int, stop chan struct{}, acked func(n int)) {
	for n := 1; ; n++ {
		for {
			s.mu.Lock()
			room, changed := len(s.flights) < window, s.changed
			s.mu.Unlock()
			if room {
				break
			}
			select {
			case <-changed:
			case <-link.done:
				return
			}
		}
		select {
		case <-stop:
			link.close()
			return
		case <-link.done:
			return
		default:
		}
		link.publish(&flight{
			topic: topic, qos: 1, retain: retain, payload: fmt.Sprintf("%s %d %s", s.id, n, strings.Repeat("x", n*7919%most)),
			acked: func() { acked(n) },
		})
	}
}

func (l *losses) untilInvoked(payload string) {
	l.t.Helper()
	for limit := time.Now().Add(l.patience); ; {
		l.mu.Lock()
		found := len(l.invoked) > 0 && l.invoked[len(l.invoked)-1].payload == payload
		l.mu.Unlock()
		if found {
			return
		}
		if time.Now().After(limit) {
			l.t.Fatal("the function is not invoked with the marker")
		}
		<-time.After(20 * time.Millisecond)
	}
}

// count compares what was acknowledged with what was there after the cut: what is lost
// must be the last.
func (l *losses) count(cut int, how string, acked map[int]time.Time, there map[int]bool, at time.Time) {
	l.t.Helper()
	last := 0
	for n := range there {
		last = max(last, n)
	}
	lost, oldest := 0, time.Duration(0)
	for n, when := range acked {
		if there[n] {
			continue
		}
		lost++
		oldest = max(oldest, at.Sub(when))
		if n < last {
			l.t.Errorf("cut %d: message %d was not %s, and %d was", cut, n, how, last)
		}
	}
	if lost > 0 && l.durability == "fsync" {
		l.t.Errorf("cut %d: %d messages that were acknowledged were not %s", cut, lost, how)
	}
	l.t.Logf("cut %d: %d acknowledged, %d not %s, the oldest acknowledged %v before the cut", cut, len(acked), lost, how, oldest.Round(time.Millisecond))
	l.lost[how] += lost
	l.oldest = max(l.oldest, oldest)
}

// checkArchive reads the retained messages that are older than any cut.
func (l *losses) checkArchive(cut int) {
	l.t.Helper()
	s := newSession(fmt.Sprint("reader-", cut), filter("archive/#", 1))
	link := l.dial(s)
	defer link.close()
	l.soon(s, "the retained messages", func() bool { return len(s.got) == archived }, func() string { return fmt.Sprintf("%d of %d came", len(s.got), archived) })
}
