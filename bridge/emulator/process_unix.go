//go:build unix

package emulator

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// process is a started program and everything it starts: a process group of its own.
type process struct {
	p  *os.Process
	mu sync.Mutex
	// over is set before the process is reaped: from then on its number may be
	// another's.
	over  bool
	state *os.ProcessState
}

// startProcess starts argv in dir, as the user if one is named. The first of files is
// for its output, the others it has from descriptor 3 on. It must be called on a thread
// that outlives the process.
func startProcess(argv []string, dir string, env []string, files []*os.File, username string) (*process, error) {
	sys := &syscall.SysProcAttr{Setpgid: true}
	endWithParent(sys)
	if username != "" {
		cred, err := credential(username)
		if err != nil {
			return nil, err
		}
		sys.Credential = cred
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer func() { _ = null.Close() }()
	p, err := os.StartProcess(argv[0], argv, &os.ProcAttr{Dir: dir, Env: env, Files: append([]*os.File{null, files[0]}, files...), Sys: sys})
	if err != nil {
		return nil, err
	}
	return &process{p: p}, nil
}

// credential is what a process of that user runs with.
func credential(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		if uint64(os.Geteuid()) == uid {
			return nil, nil //nolint:nilnil // it is us already: nothing to change
		}
		return nil, fmt.Errorf("only root can run functions as user %q; start topicwire as root or remove user", name)
	}
	var groups []uint32
	ids, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if g, err := strconv.ParseUint(id, 10, 32); err == nil {
			groups = append(groups, uint32(g))
		}
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: groups}, nil
}

// wait waits for the process's end, ends what it has left behind, and says how it
// ended: "" for exit status 0.
func (p *process) wait() string {
	awaitEnd(p.p.Pid)
	p.mu.Lock()
	// The process is a zombie still, so the number is its own.
	_ = syscall.Kill(-p.p.Pid, syscall.SIGKILL)
	p.over = true
	p.mu.Unlock()
	state, err := p.p.Wait()
	p.mu.Lock()
	p.state = state
	p.mu.Unlock()
	switch {
	case err != nil:
		return err.Error()
	case state.Success():
		return ""
	default:
		return state.String()
	}
}

func (p *process) kill()      { p.signal(syscall.SIGKILL) }
func (p *process) terminate() { p.signal(syscall.SIGTERM) }

func (p *process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		if err := syscall.Kill(-p.p.Pid, sig); errors.Is(err, syscall.ESRCH) {
			_ = p.p.Signal(sig)
		}
	}
}

// cpuTime is the processor time the process has used, once it has ended.
func (p *process) cpuTime() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == nil {
		return 0
	}
	return p.state.UserTime() + p.state.SystemTime()
}

// running is the process's number, 0 once it has ended.
func (p *process) running() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return 0
	}
	return p.p.Pid
}

func isRoot() bool { return os.Geteuid() == 0 }
