package filekek

import (
	"context"
	"io/fs"
)

// CheckFile, CheckDir and the two of credentials let tests ask what is said to
// another user, which only root could provoke for real.
var (
	CheckFile                                                    = func(path string, info fs.FileInfo, uid int) error { return checkFile("key file", path, info, uid) }
	CheckDir  func(path string, info fs.FileInfo, uid int) error = checkDir

	CheckCredential = func(path string, info fs.FileInfo, uid int) error {
		return checkCredential("credential", path, info, uid)
	}
	CheckCredentialDir func(path string, info fs.FileInfo, uid int) error = checkCredentialDir
)

// GenerateCheap is GeneratePassphrase at a cost that tests can pay.
func GenerateCheap(ctx context.Context, path string, p Passphrase) error {
	return generatePassphrase(ctx, path, p, cost{memory: 64, passes: 1, lanes: 1})
}
