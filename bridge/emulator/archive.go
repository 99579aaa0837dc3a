package emulator

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxUnpacked is AWS's limit for a function's code, unpacked, in bytes.
const maxUnpacked = 250 << 20

// unpack unpacks the archive below dir, in a folder named after its SHA-256, and
// returns that. What was unpacked before is used again.
func unpack(archive, dir string) (string, error) {
	sum, err := fileSum(archive)
	if err != nil {
		return "", err
	}
	target := filepath.Join(dir, sum)
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the function's user must get at the code
		return "", err
	}
	tmp, err := os.MkdirTemp(dir, "new-*")
	if err != nil {
		return "", err
	}
	err = os.Chmod(tmp, 0o755) //nolint:gosec // as above
	if err == nil {
		err = unpackInto(archive, tmp)
	}
	if err == nil {
		// Somebody else may have been faster; theirs is the same.
		if err = os.Rename(tmp, target); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("%s: %w", archive, err), os.RemoveAll(tmp))
	}
	return target, os.RemoveAll(tmp)
}

func fileSum(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func unpackInto(archive, dir string) error {
	r, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	// Nothing leaves the folder, whatever names and links the archive has.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	left := int64(maxUnpacked)
	for _, entry := range r.File {
		if left, err = unpackEntry(root, entry, left); err != nil {
			return fmt.Errorf("%s: %w", entry.Name, err)
		}
	}
	return nil
}

var errArchiveTooLarge = errors.New("the code is larger than 250 MB unpacked, which is AWS's limit")

func unpackEntry(root *os.Root, entry *zip.File, left int64) (int64, error) {
	name := filepath.FromSlash(strings.TrimSuffix(entry.Name, "/"))
	if !filepath.IsLocal(name) {
		return left, errors.New("the archive has a name that leads out of it")
	}
	mode := entry.Mode()
	if mode.IsDir() {
		return left, root.MkdirAll(name, 0o755)
	}
	if parent := filepath.Dir(name); parent != "." {
		if err := root.MkdirAll(parent, 0o755); err != nil {
			return left, err
		}
	}
	in, err := entry.Open()
	if err != nil {
		return left, err
	}
	defer func() { _ = in.Close() }()
	if mode&fs.ModeSymlink != 0 {
		to, err := io.ReadAll(io.LimitReader(in, 4096))
		if err != nil {
			return left, err
		}
		if filepath.IsAbs(string(to)) || !filepath.IsLocal(filepath.Join(filepath.Dir(name), string(to))) {
			return left, errors.New("the archive has a link that leads out of it")
		}
		return left, root.Symlink(string(to), name)
	}
	if !mode.IsRegular() {
		return left, errors.New("the archive has something that is neither file, folder nor link")
	}
	out, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode.Perm()|0o444)
	if err != nil {
		return left, err
	}
	n, err := io.Copy(out, io.LimitReader(in, left+1))
	if e := out.Close(); err == nil {
		err = e
	}
	if err == nil && n > left {
		err = errArchiveTooLarge
	}
	return left - n, err
}
