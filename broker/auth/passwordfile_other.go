//go:build !unix

package auth

import (
	"io/fs"
	"os"
)

// giveTo does nothing: the folder says who may read the file.
func giveTo(*os.File, fs.FileInfo) error { return nil }
