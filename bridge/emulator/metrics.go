package emulator

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// kindX are the values of the label kind: how invocations fail.
const (
	kindFunction    = "function"    // the handler failed
	kindTimeout     = "timeout"     // it took too long
	kindExit        = "exit"        // the process ended, or did not start
	kindTooLarge    = "too_large"   // the event or the answer is too large
	kindThrottled   = "throttled"   // no process was free in time
	kindUnavailable = "unavailable" // no runtime, no code, or it does not build
	kindClosed      = "closed"      // the function was shut down
)

// metrics is the one collector of the package; the functions of a process share it.
type metrics struct {
	invocations  *prometheus.CounterVec
	errors       *prometheus.CounterVec
	duration     *prometheus.HistogramVec
	coldStarts   *prometheus.CounterVec
	initDuration *prometheus.HistogramVec
	environments *prometheus.Desc
	queued       *prometheus.Desc
	memory       *prometheus.Desc
	cpu          *prometheus.Desc

	mu        sync.Mutex
	functions map[*functionMetrics]struct{}
}

func newMetrics() *metrics {
	const ns, sub = "topicwire", "emulator"
	label := []string{"function"}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, first float64) *prometheus.HistogramVec {
		buckets := prometheus.ExponentialBuckets(first, 4, 10)
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help, Buckets: buckets}, label)
	}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(ns, sub, name), help, labels, nil)
	}
	return &metrics{
		invocations:  counter("invocations_total", "Invocations that reached the function.", "function"),
		errors:       counter("errors_total", "Invocations that failed, by how.", "function", "kind"),
		duration:     histogram("invocation_duration_seconds", "Time from the event's dispatch to the answer.", 0.00005),
		coldStarts:   counter("cold_starts_total", "Processes that were started and became ready.", "function"),
		initDuration: histogram("init_duration_seconds", "Time from a process's start to its first request for an event.", 0.002),
		environments: desc("environments", "Processes of the function, by state.", "function", "state"),
		queued:       desc("queued_invocations", "Invocations that wait for a free process.", "function"),
		memory:       desc("process_resident_memory_bytes", "Memory of the function's processes together.", "function"),
		cpu:          desc("process_cpu_seconds_total", "Processor time of the function's processes, ended ones included.", "function"),
		functions:    make(map[*functionMetrics]struct{}),
	}
}

// registerMetrics registers the collector, or finds the one that is registered.
func registerMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := newMetrics()
	if reg == nil {
		return m, nil
	}
	err := reg.Register(m)
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if shared, ok := already.ExistingCollector.(*metrics); ok {
			return shared, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return m, nil
}

// Describe implements [prometheus.Collector].
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.vectors() {
		c.Describe(ch)
	}
	for _, d := range []*prometheus.Desc{m.environments, m.queued, m.memory, m.cpu} {
		ch <- d
	}
}

func (m *metrics) vectors() []prometheus.Collector {
	return []prometheus.Collector{m.invocations, m.errors, m.duration, m.coldStarts, m.initDuration}
}

// sample is what one function's processes look like now.
type sample struct {
	idle, busy, starting, queued int
	memory                       uint64
	cpu                          time.Duration
}

// Collect implements [prometheus.Collector].
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.vectors() {
		c.Collect(ch)
	}
	// While a function is replaced on reload there are two of one name.
	byName := make(map[string]sample)
	m.mu.Lock()
	for fm := range m.functions {
		s := byName[fm.f.name]
		fm.f.sample(&s)
		byName[fm.f.name] = s
	}
	m.mu.Unlock()
	for name, s := range byName {
		gauge := func(d *prometheus.Desc, v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{name}, labels...)...)
		}
		gauge(m.environments, float64(s.idle), "idle")
		gauge(m.environments, float64(s.busy), "busy")
		gauge(m.environments, float64(s.starting), "starting")
		gauge(m.queued, float64(s.queued))
		gauge(m.memory, float64(s.memory))
		ch <- prometheus.MustNewConstMetric(m.cpu, prometheus.CounterValue, s.cpu.Seconds(), name)
	}
}

// sample adds what f's processes use to s.
func (f *Function) sample(s *sample) {
	var procs []*process
	f.mu.Lock()
	s.queued += f.queue.length
	s.cpu += f.metrics.endedCPU
	for e := range f.all {
		switch {
		case e.state == stateStarting:
			s.starting++
		case e.busy() > 0:
			s.busy++
		default:
			s.idle++
		}
		if e.proc != nil {
			procs = append(procs, e.proc)
		}
	}
	f.mu.Unlock()
	for _, p := range procs {
		if pid := p.running(); pid != 0 {
			memory, cpu := usage(pid)
			s.memory += memory
			s.cpu += cpu
		}
	}
}

// functionMetrics are the metrics of one function, looked up once.
type functionMetrics struct {
	m        *metrics
	f        *Function
	count    prometheus.Counter
	took     prometheus.Observer
	cold     prometheus.Counter
	init     prometheus.Observer
	endedCPU time.Duration // of processes that have ended; guarded by Function.mu
}

func (m *metrics) function(f *Function) *functionMetrics {
	fm := &functionMetrics{
		m: m, f: f,
		count: m.invocations.WithLabelValues(f.name), took: m.duration.WithLabelValues(f.name),
		cold: m.coldStarts.WithLabelValues(f.name), init: m.initDuration.WithLabelValues(f.name),
	}
	return fm
}

// open makes the function's processes part of what is collected.
func (fm *functionMetrics) open() {
	fm.m.mu.Lock()
	defer fm.m.mu.Unlock()
	fm.m.functions[fm] = struct{}{}
}

// close takes the function's processes out; its counters stay, as counters do.
func (fm *functionMetrics) close() {
	fm.m.mu.Lock()
	defer fm.m.mu.Unlock()
	delete(fm.m.functions, fm)
}

func (fm *functionMetrics) finished(out *outcome) {
	fm.count.Inc()
	fm.took.Observe(out.duration.Seconds())
	if out.errorType != "" {
		fm.refused(failure(out.errorType))
	}
}

func (fm *functionMetrics) refused(kind string) { fm.m.errors.WithLabelValues(fm.f.name, kind).Inc() }

func (fm *functionMetrics) coldStart(took time.Duration) {
	fm.cold.Inc()
	fm.init.Observe(took.Seconds())
}

// processEnded is called with Function.mu held.
func (fm *functionMetrics) processEnded(cpu time.Duration) { fm.endedCPU += cpu }

// failure is the kind of a function's error.
func failure(errorType string) string {
	switch errorType {
	case errorTimeout:
		return kindTimeout
	case errorExit, errorEntrypoint:
		return kindExit
	case errorTooLarge:
		return kindTooLarge
	default:
		return kindFunction
	}
}

// refusal is the kind of an error that kept the function from running.
func refusal(err error) string {
	switch {
	case errors.Is(err, ErrThrottled):
		return kindThrottled
	case errors.Is(err, ErrUnavailable):
		return kindUnavailable
	default:
		return kindClosed
	}
}
