package crashtest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// settle lets everything that is under way arrive.
func (w *world) settle() {
	w.t.Helper()
	close(w.finish)
	expected := 0
	for _, p := range w.publishers {
		w.within(p.session, "acknowledgements", func() bool { return len(p.flights) == 0 })
		expected += len(p.acked)
	}
	w.within(w.retained.session, "acknowledgements", func() bool { return len(w.retained.flights) == 0 })
	w.t.Logf("%d messages were acknowledged", expected)
	if expected < w.least {
		w.t.Fatal("that is no load")
	}
	for _, s := range w.subscribers {
		want := map[string]bool{}
		for _, p := range w.publishers {
			for payload := range p.acked {
				want["load "+payload] = true
				want["reply "+payload] = true
			}
		}
		seen := 0
		w.soon(s, fmt.Sprintf("%d messages", len(want)), func() bool {
			for ; seen < len(s.got); seen++ {
				root, _, _ := strings.Cut(s.got[seen].topic, "/")
				delete(want, root+" "+strings.Trim(s.got[seen].payload, `"`))
			}
			return len(want) == 0
		}, func() string {
			missing := ""
			for payload := range want {
				missing += fmt.Sprintf("  %.60s\n", payload)
				if len(missing) > 1000 {
					break
				}
			}
			return fmt.Sprintf("%d are missing, among them\n%s", len(want), missing)
		})
	}
	w.mu.Lock()
	due := map[string]bool{}
	for _, topic := range w.willsDue {
		due[topic] = true
	}
	w.mu.Unlock()
	w.soon(w.wills, fmt.Sprintf("%d wills", len(due)), func() bool {
		for _, d := range w.wills.got {
			delete(due, d.topic)
		}
		return len(due) == 0
	}, func() string { return fmt.Sprint(due) })
}

// soon is within, with a word about what is missing.
func (w *world) soon(s *session, what string, cond func() bool, missing func() string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, w.patience)
	defer cancel()
	if err := s.wait(ctx, cond); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		w.t.Errorf("%s waits for %s in vain: %s", s.id, what, missing())
	}
}

// check looks at all that has come.
func (w *world) check() {
	w.t.Helper()
	w.stop()
	w.clients.Wait()
	owners := map[string]*publisher{}
	for _, p := range w.publishers {
		owners[p.id] = p
		w.sound(p.session)
	}
	w.sound(w.retained.session)
	for i, s := range w.subscribers {
		w.sound(s)
		w.order(s, owners, byte(1+i%2))
	}
	w.checkInvocations(owners)
	w.checkRetained()
}

// checkInvocations checks that the function was invoked for each message, in the order
// of its topic; an attempt that a kill cut off is made again.
func (w *world) checkInvocations(owners map[string]*publisher) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	last := map[string]int{}
	seen := map[string]bool{}
	wrong := 0
	for _, i := range w.invoked {
		if seen[i.payload] {
			continue
		}
		seen[i.payload] = true
		_, n := number(i.payload)
		if n < last[i.topic] {
			if wrong++; wrong <= 5 {
				w.t.Errorf("the function: %s: %d came after %d", i.topic, n, last[i.topic])
			}
		}
		last[i.topic] = n
	}
	for _, p := range owners {
		for payload := range p.acked {
			if !seen[payload] {
				w.t.Errorf("the function was never invoked with %.40s", payload)
			}
		}
	}
	w.t.Logf("%d invocations for %d messages", len(w.invoked), len(seen))
}

// number takes a payload apart.
func number(payload string) (publisher string, n int) {
	publisher, rest, _ := strings.Cut(payload, " ")
	digits, _, _ := strings.Cut(rest, " ")
	n, _ = strconv.Atoi(digits)
	return publisher, n
}

func (w *world) sound(s *session) {
	w.t.Helper()
	for _, l := range s.lost {
		w.t.Error(l)
	}
	if s.refused > 0 && !w.mayRefuse {
		w.t.Errorf("%s: %d messages were refused", s.id, s.refused)
	}
}

// order checks the order of what one subscriber received, and that what came twice was
// flagged, unless its publisher had sent it twice. At QoS 2 nothing may come twice.
func (w *world) order(s *session, owners map[string]*publisher, granted byte) {
	w.t.Helper()
	last := map[string]int{}
	seen := map[string]bool{}
	wrong := 0
	complain := func(format string, args ...any) {
		if wrong++; wrong <= 5 {
			w.t.Errorf(s.id+": "+format, args...)
		}
	}
	for _, d := range s.got {
		if !strings.HasPrefix(d.topic, "load/") {
			continue
		}
		id, n := number(d.payload)
		p := owners[id]
		if p == nil {
			w.t.Fatalf("%q is nobody's message", d.payload)
		}
		if seen[d.payload] {
			switch {
			case granted == 2 && p.qos == 2:
				complain("%s number %d came twice at QoS 2", id, n)
			case !d.dup && !p.again[d.payload]:
				complain("%s number %d came twice, and its publisher had sent it once", id, n)
			}
			continue
		}
		seen[d.payload] = true
		if n < last[d.topic] {
			complain("%s: %d came after %d", d.topic, n, last[d.topic])
		}
		last[d.topic] = n
	}
}

// checkRetained reads what is retained, as a new subscriber does.
func (w *world) checkRetained() {
	w.t.Helper()
	s := newSession("reader", filter("kept/#", 1))
	l, err := s.connect(w.t.Context(), *w.address.Load())
	if err != nil {
		w.t.Fatal(err)
	}
	defer l.close()
	got := map[string]int{}
	ctx, cancel := context.WithTimeout(w.t.Context(), w.patience)
	defer cancel()
	err = s.wait(ctx, func() bool {
		for _, d := range s.got {
			_, got[d.topic] = number(d.payload)
		}
		return len(got) == topics
	})
	for topic, n := range w.retained.last {
		if err != nil || got[topic] != n {
			w.t.Errorf("%s: number %d is retained, and %d was acknowledged last", topic, got[topic], n)
		}
	}
}
