package bench

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// startPinned starts cmd on one core, or anywhere if core is negative. The child takes over the
// affinity of the thread that starts it, so it is pinned before its first instruction and counts
// one processor.
func startPinned(cmd *exec.Cmd, core int) error {
	if core < 0 {
		return cmd.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("read the processor affinity: %w", err)
	}
	one.Set(core)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("pin to core %d: %w", core, err)
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }()
	return cmd.Start()
}

// pinSelf moves this process to one core and returns what undoes it. Threads that start
// later take over the affinity of the one that starts them.
func pinSelf(core int) (undo func(), err error) {
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, fmt.Errorf("read the processor affinity: %w", err)
	}
	one.Set(core)
	procs := runtime.GOMAXPROCS(1)
	if err := pinThreads(&one); err != nil {
		return nil, err
	}
	return func() {
		_ = pinThreads(&before)
		runtime.GOMAXPROCS(procs)
	}, nil
}

func pinThreads(set *unix.CPUSet) error {
	for range 2 { // a thread may have started another while we looked
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range tasks {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(id, set); err != nil && err != unix.ESRCH {
				return fmt.Errorf("pin thread %d: %w", id, err)
			}
		}
	}
	return nil
}

// cores lists the processor cores that this process may use.
func cores() []int {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	var list []int
	for i := range 1024 {
		if set.IsSet(i) {
			list = append(list, i)
		}
	}
	return list
}

// raiseFileLimit raises the soft limit of open files to the hard one, for this process and, since it
// is set explicitly, for those that it starts: 5,000 connections need more than the usual 1,024.
func raiseFileLimit() error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("raise the limit of open files: %w", err)
	}
	return nil
}
