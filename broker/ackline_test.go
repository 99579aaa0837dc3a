package broker

import (
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/topicwire/topicwire/broker/session"
)

// While one acknowledgement waits for its message to become durable, those behind it are
// bounded, whatever they are for: the reader waits.
func TestAcknowledgementsThatWaitAreBounded(t *testing.T) {
	for name, then := range map[string]func(l *ackLine, id uint16){
		"refused":  func(l *ackLine, id uint16) { l.begin(&publish{qos: 1, id: id}); l.now(session.Puback, id, 0) },
		"pending":  func(l *ackLine, id uint16) { l.begin(&publish{qos: 1, id: id}); l.later(session.Puback, id, 1) },
		"repeated": func(l *ackLine, _ uint16) { l.begin(&publish{qos: 2, id: 7}); l.now(session.Pubrec, 7, 0) },
		"released": func(l *ackLine, id uint16) { l.makeRoom(); l.now(session.Pubcomp, id, reasonIDNotFound) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const most = 10
				c := &connection{version: 4}
				l := &c.acks
				l.init(c, most)
				l.later(session.Puback, 1, 1)
				var taken atomic.Int32
				done := make(chan struct{})
				go func() {
					defer close(done)
					for id := uint16(2); !l.closed.Load(); id++ {
						then(l, id)
						taken.Add(1)
					}
				}()
				synctest.Wait()
				if n := taken.Load(); n != most-1 {
					t.Errorf("%d are in line behind the first, the limit is %d", n, most)
				}
				l.close()
				<-done
			})
		})
	}
}
