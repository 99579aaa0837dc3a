// Package machine gives a test a small virtual machine: what the host cannot show, or
// may not do, can be tried in it. It has a kernel of its own, so its limits are the
// test's to set, and its power can be cut: what the kernel has not written is lost then,
// and of what the disk has not flushed any part may be.
//
// It runs under QEMU, which emulates the processor: ten times slower than the real one,
// and the same everywhere. (KVM is not used: there are hosts that offer it and hang.)
package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/topicwire/topicwire/internal/testkit"
	"github.com/topicwire/topicwire/internal/testkit/machine/task"
)

// Patience is how long a test waits for something that must happen in a machine. It
// bounds a hanging test and measures nothing.
const Patience = 3 * time.Minute

// Options are what a machine is and does.
type Options struct {
	Processors int
	Memory     int               // in MB
	Disk       *Disk             // mounted on task.Data; nil: none
	Programs   map[string]string // packages to build, by the programs' paths in the machine
	Tests      map[string]string // packages whose tests are to be such programs
	Texts      map[string]string // further files
	Port       int               // of the machine's loopback that Address reaches
	Calls      string            // what the machine reaches at CallsPort: an address of ours
	Command    []string
	Env        []string
	OpenFiles  uint64 // how many a process may have; 0: as the kernel thinks
}

// CallsPort is the port of the machine's loopback behind which Options.Calls is.
const CallsPort = 9000

// The ports of the machine's own address.
const (
	frontPort = 1000
	syncPort  = 1001
)

// Machine is one that can be switched on. Make one with New.
type Machine struct {
	tb     testing.TB
	o      Options
	qemu   string
	kernel kernel
	dir    string

	// Out is what the machine wrote since it was switched on.
	Out *testkit.Output

	ports   [2]int // of the host, for the machine's
	cmd     *exec.Cmd
	exited  chan struct{}
	plugged net.Listener // where the disk is served; nil without one
}

// New prepares a machine, which is off. Without QEMU or a kernel the test does what
// [testkit.Need] does.
func New(tb testing.TB, o Options) *Machine {
	tb.Helper()
	m := &Machine{tb: tb, o: o, qemu: testkit.Need(tb, "qemu-system-x86_64", "qemu-system-x86"), kernel: findKernel(tb)}
	dir, err := os.MkdirTemp("", "vm") // a socket's path must be short
	if err != nil {
		tb.Fatal(err)
	}
	m.dir = dir
	tb.Cleanup(func() {
		m.PowerOff()
		if tb.Failed() && m.Out != nil {
			tb.Logf("the machine's last words:\n%s", m.Out)
		}
		_ = os.RemoveAll(dir)
	})
	files := map[string]source{"/init": {file: m.build("build", "./internal/testkit/machine/guest")}}
	for at, folder := range o.Programs {
		files[at] = source{file: m.build("build", folder)}
	}
	for at, folder := range o.Tests {
		files[at] = source{file: m.build("test", folder, "-c")}
	}
	for at, text := range o.Texts {
		files[at] = source{text: text}
	}
	files[task.Path] = source{text: m.task(files)}
	if err := writeArchive(m.archive(), files); err != nil {
		tb.Fatal(err)
	}
	return m
}

// build builds a package for the machine: nothing there brings a library.
func (m *Machine) build(verb, folder string, flags ...string) (file string) {
	m.tb.Helper()
	file = filepath.Join(m.dir, filepath.Base(folder)+"-"+verb)
	args := append([]string{verb, "-trimpath", "-ldflags", "-s -w", "-o", file}, flags...)
	build := exec.Command("go", append(args, folder)...)
	build.Dir = testkit.Root()
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := build.CombinedOutput(); err != nil {
		m.tb.Fatalf("go %s %s: %v\n%s", verb, folder, err, out)
	}
	return file
}

func (m *Machine) archive() string { return filepath.Join(m.dir, "initramfs") }

// task puts the kernel's modules beside the files, and says what to do with all.
func (m *Machine) task(files map[string]source) string {
	m.tb.Helper()
	at := func(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
	t := task.Task{
		Disk: m.o.Disk != nil, Files: m.o.OpenFiles, Forwards: map[string]string{}, Sync: at(task.Guest, syncPort),
		Command: m.o.Command, Env: m.o.Env,
	}
	for _, file := range m.kernel.modules {
		in := "/modules/" + filepath.Base(file)
		files[in] = source{file: file}
		t.Modules = append(t.Modules, in)
	}
	if m.o.Port != 0 {
		t.Forwards[at(task.Guest, frontPort)] = at("127.0.0.1", m.o.Port)
	}
	if m.o.Calls != "" {
		_, port, err := net.SplitHostPort(m.o.Calls)
		if err != nil {
			m.tb.Fatal(err)
		}
		t.Forwards[at("127.0.0.1", CallsPort)] = net.JoinHostPort(task.Host, port)
	}
	text, err := json.Marshal(t)
	if err != nil {
		m.tb.Fatal(err)
	}
	return string(text)
}

// PowerOn switches the machine on. It does not wait for anything in it.
func (m *Machine) PowerOn() {
	m.tb.Helper()
	args := m.hardware()
	m.Out = &testkit.Output{}
	m.cmd = exec.Command(m.qemu, args...)
	m.cmd.Stdout, m.cmd.Stderr = m.Out, m.Out
	if err := m.cmd.Start(); err != nil {
		m.tb.Fatal(err)
	}
	exited, cmd := make(chan struct{}), m.cmd
	m.exited = exited
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
}

// hardware is the emulator's command line.
func (m *Machine) hardware() []string {
	m.tb.Helper()
	m.ports = freePorts(m.tb)
	network := fmt.Sprintf("user,id=net,hostfwd=tcp:127.0.0.1:%d-%s:%d,hostfwd=tcp:127.0.0.1:%d-%s:%d",
		m.ports[0], task.Guest, frontPort, m.ports[1], task.Guest, syncPort)
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-machine", "pc", "-accel", "tcg,thread=multi", "-cpu", "max",
		"-smp", strconv.Itoa(max(1, m.o.Processors)), "-m", strconv.Itoa(max(256, m.o.Memory)),
		"-kernel", m.kernel.image, "-initrd", m.archive(), "-append", "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check",
		"-netdev", network, "-device", "virtio-net-pci,netdev=net,romfile=",
	}
	if m.o.Disk != nil {
		args = append(args,
			"-blockdev", fmt.Sprintf(`{"driver":"nbd","node-name":"disk","server":{"type":"unix","path":%q},"cache":{"direct":true}}`, m.plug()),
			"-device", "virtio-blk-pci,drive=disk,write-cache=on")
	}
	return args
}

// plug waits in the background for the machine to take up its disk, and returns where
// it finds it.
func (m *Machine) plug() (path string) {
	m.tb.Helper()
	path = filepath.Join(m.dir, "disk")
	_ = os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		m.tb.Fatal(err)
	}
	m.plugged = l
	d := m.o.Disk
	d.served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if err := d.serve(c); errors.Is(err, errProtocol) {
				m.tb.Error(err)
			}
		}
	})
	return path
}

// freePorts finds two ports that nobody uses.
func freePorts(tb testing.TB) (ports [2]int) {
	tb.Helper()
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		defer func() { _ = l.Close() }() // when both are known: they must differ
		if a, ok := l.Addr().(*net.TCPAddr); ok {
			ports[i] = a.Port
		}
	}
	return ports
}

// Address is where the machine's port is reached.
func (m *Machine) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(m.ports[0])) }

// Await waits for a line that contains text, and fails the test if it does not come.
func (m *Machine) Await(text string) string {
	m.tb.Helper()
	ctx, cancel := context.WithTimeout(m.tb.Context(), Patience)
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-m.exited:
			cancel()
		case <-stop:
		}
	}()
	line, err := m.Out.WaitFor(ctx, text)
	if err != nil {
		m.tb.Fatalf("the machine: %v\n%s", err, m.Out)
	}
	return strings.TrimRight(line, "\r")
}

// Sync waits until everything that was written in the machine is on its disk.
func (m *Machine) Sync() {
	m.tb.Helper()
	c, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(m.ports[1])), Patience)
	if err != nil {
		m.tb.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(Patience))
	if answer, err := io.ReadAll(c); err != nil || string(answer) != "synced" {
		m.tb.Fatalf("the machine has not written everything: %q, %v", answer, err)
	}
}

// PowerCut cuts the power: all that is not on the disk is lost, and the disk decides
// with rng what of its cache is there.
func (m *Machine) PowerCut(rng *rand.Rand) {
	m.PowerOff()
	if m.o.Disk != nil {
		m.o.Disk.cut(rng)
	}
}

// PowerOff ends the emulator. A disk's cache is still there when the machine is switched
// on again.
func (m *Machine) PowerOff() {
	if m.cmd == nil || m.cmd.Process == nil {
		return
	}
	_ = m.cmd.Process.Kill()
	<-m.exited
	if m.plugged != nil {
		_ = m.plugged.Close()
	}
	if m.o.Disk != nil {
		m.o.Disk.served.Wait()
	}
}
