package build

import (
	"maps"
	"slices"

	"slipway/deploy"
)

// DefaultPath is where commands are looked for unless the operator says otherwise: the standard folders
// and the one where Go's own archive is unpacked.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/go/bin"

// environment is a step's whole environment, sorted. Later maps win. NO_COLOR is not set: a log keeps
// its colours, and whoever shows it decides.
func environment(job *deploy.Job, path, home string, more ...map[string]string) []string {
	all := map[string]string{
		"PATH":               path,
		"HOME":               home,
		"LANG":               "C.UTF-8",
		"CI":                 "true",
		"SLIPWAY_APP":        string(job.App.Name),
		"SLIPWAY_REVISION":   string(job.Revision),
		"SLIPWAY_DEPLOYMENT": job.Number.String(),
	}
	for _, m := range more {
		maps.Copy(all, m)
	}
	env := make([]string, 0, len(all))
	for _, k := range slices.Sorted(maps.Keys(all)) {
		env = append(env, k+"="+all[k])
	}
	return env
}
