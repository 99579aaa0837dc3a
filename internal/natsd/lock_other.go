//go:build !unix

package natsd

import (
	"errors"
	"os"
)

// lock does not lock: on these systems it is up to the operator that no two servers
// use one folder.
func lock(*os.File) error { return nil }

func space(string) (free, size uint64, err error) { return 0, 0, errors.ErrUnsupported }
