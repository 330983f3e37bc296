package repo

import (
	"fmt"
	"strings"

	"slipway/deploy"
)

// maxRefName keeps a ref's file, with ".lock" after it, within what file systems take.
const maxRefName = 1024

// CheckRefName checks a full ref name by git-check-ref-format(1): below refs/, two elements at least.
func CheckRefName(name deploy.RefName) error {
	rest, ok := strings.CutPrefix(string(name), "refs/")
	bad := !ok || len(name) > maxRefName || !strings.Contains(rest, "/") ||
		strings.Contains(rest, "..") || strings.Contains(rest, "@{") || strings.HasSuffix(rest, ".") ||
		strings.ContainsFunc(rest, badInRefName)
	for element := range strings.SplitSeq(rest, "/") {
		bad = bad || element == "" || strings.HasPrefix(element, ".") || strings.HasSuffix(element, ".lock") || len(element) > 250
	}
	if bad {
		return fmt.Errorf("%.200q is not a ref name", string(name))
	}
	return nil
}

func badInRefName(r rune) bool {
	return r <= ' ' || r == 0x7f || strings.ContainsRune("~^:?*[\\", r)
}
