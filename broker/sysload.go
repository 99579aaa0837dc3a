package broker

import (
	"iter"
	"strconv"
	"time"
)

// sysTotals count since the start; of most of them $SYS has averages as well.
type sysTotals struct {
	bytesReceived, bytesSent     int64
	packetsReceived, packetsSent int64 // of every type
	publishReceived, publishSent int64
	dropped                      int64 // messages
	sockets                      int64 // accepted
	connections                  int64 // CONNECT packets accepted
}

func (b *Broker) totals() sysTotals {
	t, c := b.listening.Totals(), b.sessions.Counters
	return sysTotals{
		bytesReceived: t.Received, bytesSent: t.Sent,
		packetsReceived: b.metrics.packets.Load(), packetsSent: t.PacketsSent,
		publishReceived: b.metrics.received.Load(), publishSent: c.Sent.Load(),
		dropped: c.DroppedQoS0.Load() + c.DroppedQueue.Load() + c.DroppedRate.Load() + c.Expired.Load() + c.TooLarge.Load(),
		sockets: t.Connections, connections: b.metrics.connects.Load(),
	}
}

// sysLoads are the exponential averages per minute, over one minute, five and
// fifteen, under $SYS/broker/load.
type sysLoads struct {
	at   time.Time // of the last look; at first of the start
	last [9]int64
	per  [9][3]float64
}

// windows are what the averages are over, in minutes.
func windows() [3]float64 { return [3]float64{1, 5, 15} }

// next takes the totals of now in and goes through all averages by their names.
func (l *sysLoads) next(t sysTotals, now time.Time) iter.Seq2[string, float64] {
	elapsed := now.Sub(l.at).Minutes()
	l.at = now
	return func(yield func(string, float64) bool) {
		for i, s := range [9]number{
			{"bytes/received", t.bytesReceived},
			{"bytes/sent", t.bytesSent},
			{"connections", t.connections},
			{"sockets", t.sockets},
			{"messages/received", t.packetsReceived},
			{"messages/sent", t.packetsSent},
			{"publish/dropped", t.dropped},
			{"publish/received", t.publishReceived},
			{"publish/sent", t.publishSent},
		} {
			added := float64(s.value - l.last[i])
			l.last[i] = s.value
			for w, minutes := range windows() {
				average := &l.per[i][w]
				// What was added in so much of a minute, as a rate, with the weight of that time.
				if elapsed < minutes {
					*average += (added - *average*elapsed) / minutes
				} else {
					*average = added / elapsed
				}
				if !yield("load/"+s.name+"/"+strconv.Itoa(int(minutes))+"min", *average) {
					return
				}
			}
		}
	}
}
