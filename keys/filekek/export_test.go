package filekek

import "io/fs"

// CheckFile and CheckDir let tests ask what is said to another user, which
// only root could provoke for real.
var (
	CheckFile func(path string, info fs.FileInfo, uid int) error = checkFile
	CheckDir  func(path string, info fs.FileInfo, uid int) error = checkDir
)
