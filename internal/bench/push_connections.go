package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// openPush opens n WebSockets, some at a time. stop closes them.
func openPush(ctx context.Context, s *PushServer, n, buffer int) (clients []*pushClient, stop func(), err error) {
	clients = make([]*pushClient, n)
	stop = func() {
		for _, c := range clients {
			if c != nil {
				_ = c.Close()
			}
		}
	}
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(dialsAtOnce)
	for i := range clients {
		g.Go(func() (err error) {
			if within.Err() != nil {
				return within.Err()
			}
			clients[i], err = dialPush(within, s.TCP.Address(), s.Path, localAddress(s.TCP.Host, i/portsOfAddress), buffer)
			if err != nil {
				err = fmt.Errorf("connection %d: %w", i, err)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		stop()
		return nil, nil, err
	}
	return clients, stop, nil
}

// pushIdle opens n WebSockets and leaves them idle: how fast, and what each costs in memory.
func pushIdle(ctx context.Context, p *pushRun, n int) ([]PushCell, error) {
	// A few first, so that what a server makes only once is made.
	first, stop, err := openPush(ctx, p.server, dialsAtOnce, 512)
	if err != nil {
		return nil, err
	}
	_ = first
	defer stop()
	m, err := startPushMeter(p.server)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	_, stopAll, err := openPush(ctx, p.server, n, 512)
	if err != nil {
		return nil, err
	}
	defer stopAll()
	took := time.Since(begin)
	connecting, err := m.stop()
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(time.Second): // let a garbage collector have its turn
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	idle, err := m.stop()
	if err != nil {
		return nil, err
	}
	return []PushCell{
		{Value: float64(n) / took.Seconds(), Detail: fmt.Sprintf("CPU %s µs each", figures([]float64{connecting.cpu.Seconds() * 1e6 / float64(n)}, ""))},
		{Value: float64(idle.rss) / 1024 / float64(n), Detail: fmt.Sprintf("from %d to %d MB", m.first.rss>>20, (m.first.rss+idle.rss)>>20)},
	}, nil
}

// pushMeter measures a server's process and its children.
type pushMeter struct {
	server *PushServer
	first  usage
}

func startPushMeter(s *PushServer) (*pushMeter, error) {
	u, err := s.usage()
	return &pushMeter{s, u}, err
}

// stop is what was used since the start.
func (m *pushMeter) stop() (usage, error) {
	u, err := m.server.usage()
	return usage{cpu: u.cpu - m.first.cpu, rss: u.rss - m.first.rss}, err
}

// usage adds up what the server's processes have used.
func (s *PushServer) usage() (usage, error) {
	sum, err := readUsage(s.PID)
	if err != nil {
		return sum, err
	}
	for _, pid := range children(s.PID) {
		u, err := readUsage(pid)
		if err != nil {
			return sum, err
		}
		sum.cpu += u.cpu
		sum.rss += u.rss
	}
	return sum, nil
}

// children are the processes that pid has started.
func children(pid int) (pids []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		for s := range strings.FieldsSeq(string(text)) {
			if n, err := strconv.Atoi(s); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}
