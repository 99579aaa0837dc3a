package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/internal/testkit/machine"
	"github.com/topicwire/topicwire/internal/testkit/machine/task"
)

// TestEverybodyComesBackAtOnce in full size, whatever the limits of this machine: in a
// virtual one the limits are ours.
func TestCrowdInAMachine(t *testing.T) {
	if os.Getenv("TOPICWIRE_MACHINE") == "" {
		t.Skip("it takes minutes: make powercut runs it")
	}
	m := machine.New(t, machine.Options{
		Processors: 2, Memory: 4096, Disk: machine.NewDisk(t, 1024), OpenFiles: 1 << 16,
		Programs: map[string]string{"/topicwire": "./cmd/topicwire"},
		Tests:    map[string]string{"/e2e": "./internal/e2e"},
		Command:  []string{"/e2e", "-test.v", "-test.timeout=15m", "-test.run=^TestEverybodyComesBackAtOnce$"},
		Env: []string{
			"TOPICWIRE_SOAK=1", "TOPICWIRE_BINARY=/topicwire", "TMPDIR=" + task.Data,
			"TOPICWIRE_SOAK_CONFIG=limits: {connect_timeout: 2m}", // an emulated processor is slow
		},
	})
	m.PowerOn()
	line, err := m.Out.Wait(t.Context(), func(line string) bool { return strings.HasPrefix(line, "guest: ") })
	if err != nil || !strings.HasPrefix(line, "guest: done") || !strings.Contains(m.Out.String(), "20000 clients, 2000 of them with a session") {
		t.Errorf("%s, %v", line, err)
	}
	t.Logf("the machine:\n%s", m.Out)
}
