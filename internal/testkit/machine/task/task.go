// Package task says what a test's virtual machine has to do. The machine's owner writes
// it into the machine; the machine's first program reads it there.
package task

// Path is where the task is in the machine.
const Path = "/task.json"

// The addresses in the machine.
const (
	// Guest is the machine's own.
	Guest = "10.0.2.15"
	// Host is where the machine reaches the loopback listeners of the host.
	Host = "10.0.2.2"
	// Data is where the machine's disk is mounted.
	Data = "/data"
)

// Task is what a machine does: it loads the modules, mounts its disk, forwards
// connections and runs the command. When that has ended it turns itself off.
type Task struct {
	Modules  []string          // kernel modules, in the order of loading
	Disk     bool              // mount the disk
	Files    uint64            // how many files a process may have open
	Forwards map[string]string // connections to the one address go to the other
	Sync     string            // whoever connects here is sent "synced" when all is written to the disk
	Command  []string
	Env      []string
}
