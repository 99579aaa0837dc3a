package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ErrProc says that a process's CPU time and memory could not be read.
var ErrProc = errors.New("cannot read CPU time and memory of the broker's process")

// ticksPerSecond is USER_HZ, which is 100 on every architecture that Go runs Linux on.
const ticksPerSecond = 100

// usage is what a process has used.
type usage struct {
	cpu time.Duration // user and system time
	rss int64         // resident memory in bytes
}

// readUsage reads /proc of a process on this machine. An error wraps ErrProc.
func readUsage(pid int) (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) {
		return usage{}, fmt.Errorf("%w: there is no process %d in /proc", ErrProc, pid)
	}
	if err != nil {
		return usage{}, fmt.Errorf("%w: %w", ErrProc, err)
	}
	// The second field is the name in parentheses, which may hold spaces: see proc_pid_stat(5).
	_, after, ok := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	fields := strings.Fields(string(after))
	if !ok || len(fields) < 22 {
		return usage{}, fmt.Errorf("%w: /proc/%d/stat has an unknown form", ErrProc, pid)
	}
	var n [3]int64
	for i, at := range []int{11, 12, 21} { // utime, stime, rss: fields 14, 15 and 24
		if n[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return usage{}, fmt.Errorf("%w: %w", ErrProc, err)
		}
	}
	return usage{
		cpu: time.Duration(n[0]+n[1]) * time.Second / ticksPerSecond,
		rss: n[2] * int64(os.Getpagesize()),
	}, nil
}

// meter measures processes together over a stretch of time. Without any it measures
// nothing.
type meter struct {
	pids  []int
	at    time.Time
	first usage
}

// startMeter measures the processes of a Config.
func startMeter(c *Config) (*meter, error) {
	m := &meter{at: time.Now()}
	for _, pid := range append([]int{c.PID}, c.beside...) {
		if pid != 0 {
			m.pids = append(m.pids, pid)
		}
	}
	var err error
	m.first, err = m.read()
	return m, err
}

// read adds up what the processes have used.
func (m *meter) read() (usage, error) {
	var sum usage
	for _, pid := range m.pids {
		u, err := readUsage(pid)
		if err != nil {
			return sum, err
		}
		sum.cpu += u.cpu
		sum.rss += u.rss
	}
	return sum, nil
}

// stop writes what was used since the start into r.
func (m *meter) stop(r *Result) error {
	if len(m.pids) == 0 {
		return nil
	}
	u, err := m.read()
	if err != nil {
		return err
	}
	b := &BrokerUsage{CPUSeconds: (u.cpu - m.first.cpu).Seconds(), RSSBytes: u.rss, RSSGrowthBytes: u.rss - m.first.rss}
	if t := time.Since(m.at).Seconds(); t > 0 {
		b.CPUPercent = 100 * b.CPUSeconds / t
	}
	if r.Received > 0 {
		b.CPUMicrosPerMessage = b.CPUSeconds * 1e6 / float64(r.Received)
	}
	r.Broker = b
	return nil
}
