//go:build linux

// Command guest is the first program of a test's virtual machine: it sets the machine up
// as its task says, runs the program under test, and turns the machine off.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/topicwire/topicwire/internal/testkit/machine/task"
)

func main() {
	outcome := "done"
	if err := run(); err != nil {
		outcome = err.Error()
	}
	// On a line of its own, whatever the program has written last.
	fmt.Fprintf(os.Stdout, "\nguest: %s\n", outcome)
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}

func run() error {
	if err := mounts(); err != nil {
		return err
	}
	text, err := os.ReadFile(task.Path)
	if err != nil {
		return err
	}
	var t task.Task
	if err := json.Unmarshal(text, &t); err != nil {
		return err
	}
	for _, m := range t.Modules {
		if err := load(m); err != nil {
			return fmt.Errorf("the module %s: %w", m, err)
		}
	}
	if err := network(); err != nil {
		return fmt.Errorf("the network: %w", err)
	}
	if t.Disk {
		if err := mount("/dev/vda", task.Data, "ext4"); err != nil {
			return fmt.Errorf("the disk: %w", err)
		}
	}
	for from, to := range t.Forwards {
		l, err := net.Listen("tcp", from)
		if err != nil {
			return err
		}
		go forward(l, to)
	}
	if t.Sync != "" {
		l, err := net.Listen("tcp", t.Sync)
		if err != nil {
			return err
		}
		go syncs(l)
	}
	if t.Files > 0 {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: t.Files, Max: t.Files}); err != nil {
			return fmt.Errorf("the limit of open files: %w", err)
		}
	}
	cmd := exec.Command(t.Command[0], t.Command[1:]...)
	cmd.Env = append([]string{"PATH=/", "HOME=/tmp", "TMPDIR=/tmp"}, t.Env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	return cmd.Run()
}

// mounts mounts what every Linux program expects, and opens the console.
func mounts() error {
	for _, m := range [][3]string{{"proc", "/proc", "proc"}, {"sysfs", "/sys", "sysfs"}, {"devtmpfs", "/dev", "devtmpfs"}, {"tmpfs", "/tmp", "tmpfs"}} {
		if err := mount(m[0], m[1], m[2]); err != nil {
			return err
		}
	}
	console, err := os.OpenFile("/dev/console", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	os.Stdout, os.Stderr = console, console
	return nil
}

func mount(what, where, kind string) error {
	if err := os.MkdirAll(where, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(what, where, kind, 0, ""); err != nil {
		return fmt.Errorf("mounting %s: %w", where, err)
	}
	return nil
}

func load(module string) error {
	f, err := os.Open(filepath.Clean(module))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return unix.FinitModule(int(f.Fd()), "", 0)
}

// network brings up the loopback interface and the one to the host.
func network() error {
	if err := up("lo", net.IPv4(127, 0, 0, 1), net.CIDRMask(8, 32)); err != nil {
		return err
	}
	return up("eth0", net.ParseIP(task.Guest), net.CIDRMask(24, 32))
}

func up(name string, address net.IP, mask net.IPMask) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(s) }()
	for _, set := range []struct {
		request uint
		value   []byte
	}{{unix.SIOCSIFADDR, address.To4()}, {unix.SIOCSIFNETMASK, mask}} {
		r, err := unix.NewIfreq(name)
		if err == nil {
			err = r.SetInet4Addr(set.value)
		}
		if err == nil {
			err = unix.IoctlIfreq(s, set.request, r)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r)
}

// forward passes connections on; one whose other end ends, ends.
func forward(l net.Listener, to string) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = in.Close() }()
			out, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			defer func() { _ = out.Close() }()
			go func() {
				_, _ = io.Copy(out, in)
				_ = out.Close()
				_ = in.Close()
			}()
			_, _ = io.Copy(in, out)
		}()
	}
}

func syncs(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		unix.Sync()
		_, _ = io.WriteString(c, "synced")
		_ = c.Close()
	}
}
