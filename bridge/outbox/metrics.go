package outbox

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	put, done, lost, retries          prometheus.Counter
	refusals, drops, deaths, replayed *prometheus.CounterVec
	jobs, bytes, letters, letterBytes prometheus.Gauge
	name                              string
}

func newMetrics(r prometheus.Registerer, name string, o *Outbox) *metrics {
	label := []string{"outbox"}
	counter := func(metric, help string) prometheus.Counter {
		return register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: metric, Help: help}, label)).WithLabelValues(name)
	}
	counters := func(metric, help, by string) *prometheus.CounterVec {
		return register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: metric, Help: help}, []string{"outbox", by}))
	}
	gauge := func(metric, help string) prometheus.Gauge {
		return register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: metric, Help: help}, label)).WithLabelValues(name)
	}
	if r != nil {
		_ = r.Register(&depths{o: o, name: name}) // of two outboxes of one name the first is seen
	}
	return &metrics{
		put:         counter("topicwire_outbox_put_total", "Jobs taken."),
		done:        counter("topicwire_outbox_done_total", "Jobs that were done."),
		lost:        counter("topicwire_outbox_lost_total", "Jobs given up because the server shut down."),
		retries:     counter("topicwire_outbox_retries_total", "Attempts that failed and are followed by another."),
		deaths:      counters("topicwire_outbox_given_up_total", "Jobs given up, by condition: RetriesExhausted, EventAgeExceeded, ShutDown.", "condition"),
		refusals:    counters("topicwire_outbox_refused_total", "Jobs refused, by reason: full, closed, store (it could not be written).", "reason"),
		drops:       counters("topicwire_outbox_dropped_total", "What was dropped, by reason: pushed_out (a job, by newer ones), letters_count, letters_bytes, letters_age, letters_by_hand (dead letters).", "reason"),
		replayed:    counters("topicwire_outbox_replayed_total", "Dead letters tried again, by outcome: done, failed, dropped.", "outcome"),
		jobs:        gauge("topicwire_outbox_jobs", "Jobs that wait or run."),
		bytes:       gauge("topicwire_outbox_bytes", "About what they take in memory."),
		letters:     gauge("topicwire_outbox_dead_letters", "Dead letters that are kept."),
		letterBytes: gauge("topicwire_outbox_dead_letter_bytes", "About what they take in memory."),
		name:        name,
	}
}

func (m *metrics) refused(reason string, jobs int) {
	m.refusals.WithLabelValues(m.name, reason).Add(float64(jobs))
}

func (m *metrics) dropped(reason string) { m.drops.WithLabelValues(m.name, reason).Inc() }

// depths tells what each queue has when it is asked, rather than with every job.
type depths struct {
	o    *Outbox
	name string
}

// maxQueueSeries bounds the series, because queue names may come from messages. What
// is more shows in the sums.
const maxQueueSeries = 1024

func depthDesc(metric, help, outbox string) *prometheus.Desc {
	return prometheus.NewDesc(metric, help, []string{"queue"}, prometheus.Labels{"outbox": outbox})
}

func (d *depths) descs() (jobs, age *prometheus.Desc) {
	return depthDesc("topicwire_outbox_queue_jobs", "Jobs of a queue that wait or run.", d.name),
		depthDesc("topicwire_outbox_queue_oldest_seconds", "Age of a queue's oldest job.", d.name)
}

// Describe implements prometheus.Collector.
func (d *depths) Describe(c chan<- *prometheus.Desc) {
	jobs, age := d.descs()
	c <- jobs
	c <- age
}

// Collect implements prometheus.Collector.
func (d *depths) Collect(c chan<- prometheus.Metric) {
	type depth struct {
		queue string
		jobs  int
		age   time.Duration
	}
	var all []depth
	d.o.mu.Lock()
	now := time.Now()
	for name, q := range d.o.queues {
		if len(all) == maxQueueSeries {
			break
		}
		one := depth{queue: name, jobs: q.jobs}
		if w := q.age.head; w != nil {
			one.age = max(0, now.Sub(w.born))
		}
		all = append(all, one)
	}
	d.o.mu.Unlock()
	jobs, age := d.descs()
	for _, one := range all {
		c <- prometheus.MustNewConstMetric(jobs, prometheus.GaugeValue, float64(one.jobs), one.queue)
		c <- prometheus.MustNewConstMetric(age, prometheus.GaugeValue, one.age.Seconds(), one.queue)
	}
}

func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if r == nil {
		return c
	}
	var already prometheus.AlreadyRegisteredError
	if err := r.Register(c); errors.As(err, &already) {
		if old, ok := already.ExistingCollector.(C); ok {
			return old
		}
	}
	return c
}
