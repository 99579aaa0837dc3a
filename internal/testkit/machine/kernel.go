package machine

import (
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/topicwire/topicwire/internal/testkit"
)

// modules are what Debian's kernel for virtual machines does not have built in of what
// a machine needs, in the order of loading: virtio's bus, disk and network.
var modules = []string{ //nolint:gochecknoglobals // a table
	"virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci",
	"virtio_blk", "failover", "net_failover", "virtio_net",
}

// kernel is Debian's kernel, unpacked.
type kernel struct {
	image   string
	modules []string // their files, in the order of loading
}

// findKernel finds what .ci/machine has unpacked.
func findKernel(tb testing.TB) kernel {
	tb.Helper()
	dir := filepath.Join(testkit.Root(), "bin", "kernel")
	images, _ := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if len(images) == 0 {
		testkit.Missing(tb, "there is no kernel in "+dir+": run .ci/machine")
	}
	files := map[string]string{}
	err := filepath.WalkDir(filepath.Join(dir, "lib", "modules"), func(path string, _ fs.DirEntry, err error) error {
		files[filepath.Base(path)] = path
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	k := kernel{image: images[len(images)-1]}
	for _, m := range modules {
		file := files[m+".ko"]
		if file == "" {
			tb.Fatalf("the kernel in %s has no module %s", dir, m)
		}
		k.modules = append(k.modules, file)
	}
	return k
}
