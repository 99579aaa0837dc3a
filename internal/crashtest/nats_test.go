package crashtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/topicwire/topicwire/internal/testkit"
)

// natsServer is a NATS server of its own, beside topicwire.
type natsServer struct {
	t      *testing.T
	binary string
	dir    string
	port   string
	cmd    *exec.Cmd
	out    *testkit.Output
}

// newNATSServer builds the server of the module that topicwire has built in.
func newNATSServer(t *testing.T) *natsServer {
	t.Helper()
	n := &natsServer{t: t, dir: t.TempDir()}
	n.binary = filepath.Join(n.dir, "nats-server")
	build := exec.Command("go", "build", "-o", n.binary, "github.com/nats-io/nats-server/v2")
	build.Dir = testkit.Root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, n.port, _ = net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	t.Cleanup(func() { n.end(os.Kill) })
	return n
}

func (n *natsServer) start() {
	n.t.Helper()
	n.out = &testkit.Output{}
	n.cmd = exec.Command(n.binary, "-a", "127.0.0.1", "-p", n.port, "-js", "-sd", filepath.Join(n.dir, "store"))
	n.cmd.Stdout, n.cmd.Stderr = n.out, n.out
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(n.t.Context(), testkit.Patience)
	defer cancel()
	if _, err := n.out.WaitFor(ctx, "Server is ready"); err != nil {
		n.t.Fatalf("%v\n%s", err, n.out)
	}
}

func (n *natsServer) end(sig os.Signal) {
	if n.cmd == nil || n.cmd.ProcessState != nil {
		return
	}
	_ = n.cmd.Process.Signal(sig)
	_ = n.cmd.Wait()
}

// An external NATS server that ends and comes back, in good order or not, under load:
// topicwire goes on, refuses what it cannot keep, and loses nothing. Then both end.
func TestExternalNATS(t *testing.T) {
	seed := setting("TOPICWIRE_SEED", uint64(time.Now().UnixNano()))
	t.Logf("TOPICWIRE_SEED=%d", seed)
	n := newNATSServer(t)
	n.start()
	w := newWorldWith(t, fmt.Sprintf("{nats: {url: \"nats://127.0.0.1:%s\", stream: CRASHTEST}}", n.port), seed)
	w.mayRefuse = true
	w.start()
	w.load()
	for i := range 6 {
		w.pause(100, 500)
		sig := os.Signal(syscall.SIGKILL)
		if i%2 == 1 {
			sig = syscall.SIGTERM
		}
		n.end(sig)
		if i >= 4 {
			w.kill()
		}
		w.pause(50, 400)
		n.start()
		if i >= 4 {
			w.start()
		}
	}
	w.settle()
	w.check()
}
