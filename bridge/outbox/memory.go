package outbox

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// MemoryOptions are what a Memory needs. The zero value works.
type MemoryOptions struct {
	// Name tells one outbox from another in metrics; "memory" if empty.
	Name string
	// Limits bound it.
	Limits Limits
	// Concurrency says how many jobs of a queue may run at once, at least 1. It is
	// asked again and again, so it may change, and must not call the outbox. nil
	// means 1 for every queue.
	Concurrency func(queue string) int
	// Drain is how long Run goes on after its context has ended; 10 seconds if 0.
	Drain time.Duration
	// Metrics takes the counters; may be nil.
	Metrics prometheus.Registerer
}

const defaultDrain = 10 * time.Second

// idleQueues is how many empty queues are kept for their next job. More are given
// back, because queue names may come from messages.
const idleQueues = 1024

// Memory is an outbox that forgets when the process ends. A job begins at once if its
// queue lets it: there is no polling and no pool of workers to wait for.
type Memory struct {
	limits      Limits
	concurrency func(string) int
	drain       time.Duration
	metrics     *metrics

	mu     sync.Mutex
	queues map[string]*queue
	jobs   int   // waiting and running
	bytes  int64 // of both
	closed bool
	do     func(context.Context, Job) error // nil until Run
	ctx    context.Context                  //nolint:containedctx // of the workers that Put starts
	empty  chan struct{}                    // set while draining; closed when jobs reaches 0
	wg     sync.WaitGroup                   // the workers
}

// queue is what waits for one target.
type queue struct {
	waiting ring
	running int
	jobs    int
	bytes   int64
}

// NewMemory returns an empty outbox.
func NewMemory(o MemoryOptions) *Memory {
	if o.Name == "" {
		o.Name = "memory"
	}
	if o.Concurrency == nil {
		o.Concurrency = func(string) int { return 1 }
	}
	if o.Drain <= 0 {
		o.Drain = defaultDrain
	}
	return &Memory{
		limits:      o.Limits.WithDefaults(),
		concurrency: o.Concurrency,
		drain:       o.Drain,
		metrics:     newMetrics(o.Metrics, o.Name),
		queues:      make(map[string]*queue),
	}
}

// Put implements [Outbox]. It never waits, and the Pending is always nil.
func (m *Memory) Put(_ context.Context, jobs ...Job) (Pending, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		m.metrics.refused("closed", len(jobs))
		return nil, Closed()
	}
	if err := m.room(jobs); err != nil {
		m.metrics.refused("full", len(jobs))
		return nil, err
	}
	for i := range jobs {
		m.add(jobs[i])
	}
	m.metrics.put.Add(float64(len(jobs)))
	m.gauge()
	return nil, nil
}

// room reports why jobs do not fit. Those of one message are few, so that counting
// them per queue by walking is cheaper than a map.
func (m *Memory) room(jobs []Job) error {
	var bytes int64
	for i := range jobs {
		bytes += jobs[i].Size()
		n, size := 1, jobs[i].Size()
		for k := range i {
			if jobs[k].Queue == jobs[i].Queue {
				n++
				size += jobs[k].Size()
			}
		}
		if q := m.queues[jobs[i].Queue]; q != nil {
			n += q.jobs
			size += q.bytes
		}
		if n > m.limits.QueueJobs || size > m.limits.QueueBytes {
			return &Refusal{Err: fmt.Errorf("%w: queue %s is at its limit", ErrFull, jobs[i].Queue), Code: codeQuotaExceeded}
		}
	}
	if m.jobs+len(jobs) > m.limits.Jobs || m.bytes+bytes > m.limits.Bytes {
		return &Refusal{Err: ErrFull, Code: codeQuotaExceeded}
	}
	return nil
}

func (m *Memory) add(j Job) {
	q := m.queues[j.Queue]
	if q == nil {
		q = &queue{}
		m.queues[j.Queue] = q
	}
	size := j.Size()
	q.waiting.push(j)
	q.jobs++
	q.bytes += size
	m.jobs++
	m.bytes += size
	m.spawn(j.Queue, q)
}

// spawn starts workers for what waits in q, as far as its concurrency goes. A worker
// takes jobs until none is left.
func (m *Memory) spawn(name string, q *queue) {
	if m.do == nil || q.waiting.len() == 0 {
		return
	}
	limit := max(1, m.concurrency(name))
	for n := q.waiting.len(); n > 0 && q.running < limit; n-- {
		q.running++
		m.wg.Go(func() { m.work(name, q) })
	}
}

func (m *Memory) work(name string, q *queue) {
	for {
		m.mu.Lock()
		if q.waiting.len() == 0 || q.running > max(1, m.concurrency(name)) {
			q.running--
			if q.jobs == 0 && len(m.queues) > idleQueues && m.queues[name] == q {
				delete(m.queues, name)
			}
			m.mu.Unlock()
			return
		}
		j := q.waiting.pop()
		do, ctx := m.do, m.ctx
		m.mu.Unlock()

		err := do(ctx, j)
		m.settle(q, &j, err)
	}
}

func (m *Memory) settle(q *queue, j *Job, err error) {
	if err != nil {
		m.metrics.lost.Inc()
	} else {
		m.metrics.done.Inc()
	}
	size := j.Size()
	m.mu.Lock()
	defer m.mu.Unlock()
	q.jobs--
	q.bytes -= size
	m.jobs--
	m.bytes -= size
	m.gauge()
	if m.jobs == 0 && m.empty != nil {
		close(m.empty)
		m.empty = nil
	}
}

func (m *Memory) gauge() {
	m.metrics.jobs.Set(float64(m.jobs))
	m.metrics.bytes.Set(float64(m.bytes))
}

// Run implements [Outbox]. After its end whatever still waits is lost, and the error
// says how much.
func (m *Memory) Run(ctx context.Context, do func(context.Context, Job) error) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	m.mu.Lock()
	m.do, m.ctx = do, work
	for name, q := range m.queues {
		m.spawn(name, q)
	}
	m.mu.Unlock()
	<-ctx.Done()

	m.mu.Lock()
	empty := make(chan struct{})
	if m.jobs == 0 {
		close(empty)
	} else {
		m.empty = empty
	}
	m.mu.Unlock()
	limit := time.NewTimer(m.drain)
	defer limit.Stop()
	select {
	case <-empty:
	case <-limit.C:
	}
	lost := m.close()
	cancel()
	m.wg.Wait()
	if lost > 0 {
		return fmt.Errorf("%d jobs were still waiting after %s and are lost", lost, m.drain)
	}
	return nil
}

// close refuses new jobs and throws the waiting ones away.
func (m *Memory) close() (lost int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for _, q := range m.queues {
		for q.waiting.len() > 0 {
			j := q.waiting.pop()
			m.jobs--
			m.bytes -= j.Size()
			lost++
		}
	}
	m.metrics.lost.Add(float64(lost))
	m.gauge()
	return lost
}
