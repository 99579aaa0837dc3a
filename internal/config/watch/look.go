package watch

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// look describes what is at a path: which file it is in truth, how large and how old;
// for a folder, that of everything in it. Nothing there is a description too.
func look(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "none"
	}
	if !info.IsDir() {
		return describe(path, info)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return "unreadable"
	}
	var b strings.Builder
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // editors' and Kubernetes's own
		}
		file := filepath.Join(path, e.Name())
		if info, err := os.Stat(file); err == nil && !info.IsDir() {
			fmt.Fprintf(&b, "%q %s\n", e.Name(), describe(file, info))
		}
	}
	return b.String()
}

func describe(path string, info fs.FileInfo) string {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		target = path
	}
	return fmt.Sprintf("%q %d %d", target, info.Size(), info.ModTime().UnixNano())
}

// folders are those in which something happens when path changes: the one it is in,
// itself if it is one, and where symbolic links lead. Of what does not exist yet it is
// the nearest folder above that does.
func folders(path string) []string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	list := []string{existing(filepath.Dir(path))}
	if isFolder(path) {
		list = append(list, path)
	}
	if target, err := filepath.EvalSymlinks(path); err == nil && target != path {
		list = append(list, filepath.Dir(target))
		if isFolder(target) {
			list = append(list, target)
		}
	}
	return list
}

func existing(folder string) string {
	for !isFolder(folder) {
		up := filepath.Dir(folder)
		if up == folder {
			break
		}
		folder = up
	}
	return folder
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
