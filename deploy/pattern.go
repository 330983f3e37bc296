package deploy

import (
	"regexp"
	"sync"
)

// pattern returns an expression that is compiled when it is needed first. This package is in the program
// that every sandbox and every keeper starts, which needs none of them and would spend a third of its
// start on them.
func pattern(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
