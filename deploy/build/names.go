package build

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"slipway/deploy"
	"slipway/deploy/sandbox"
)

const maxStepName = 60

// sandboxName names the sandbox of a deployment's step: 42-test-unit, with which no app's instance begins, since apps
// have names that begin with a letter. A name that holds more than the sandbox's letters is written with hyphens, and
// told apart from its like by a hash.
func sandboxName(n deploy.Number, step string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}, step)
	if plain != step && plain != strings.ReplaceAll(step, "_", "-") || len(plain) > maxStepName {
		sum := sha256.Sum256([]byte(step))
		plain = plain[:min(len(plain), maxStepName)] + "." + hex.EncodeToString(sum[:4])
	}
	return n.String() + "-" + plain
}

// limits are a step's own, and else the server's.
func limits(own, defaults deploy.Limits) sandbox.Limits {
	return sandbox.Limits{
		Memory:    cmp.Or(own.Memory, defaults.Memory),
		Processes: cmp.Or(own.Processes, defaults.Processes),
		CPU:       cmp.Or(own.CPU, defaults.CPU),
		FileSize:  cmp.Or(own.FileSize, defaults.FileSize),
		Disk:      cmp.Or(own.Disk, defaults.Disk),
		Time:      cmp.Or(own.Timeout, defaults.Timeout),
	}
}
