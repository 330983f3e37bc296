package deploy

import "strings"

// maxRegression is how long the words about a regression may be, in bytes.
const maxRegression = 2 << 10

// NewRegression says that d had broken something. fix is the deployment that mended it, nil for none. The
// error is a rejection that says what to do instead.
func NewRegression(d Deployment, reason string, fix *Deployment) (Regression, error) {
	r := Regression{Deployment: d.Number, Reason: strings.TrimSpace(reason)}
	switch {
	case d.Status != StatusAccepted:
		return r, Reject(CodeUsage, "deployment %d was not accepted: it is %s", d.Number, d.Status).
			WithHint("only what was accepted can have broken something; slipway deployments %s lists them", d.App)
	case r.Reason == "":
		return r, Reject(CodeUsage, "say what deployment %d broke", d.Number).WithHint("slipway regression %d \"what broke\"", d.Number)
	case len(r.Reason) > maxRegression:
		return r, Reject(CodeSize, "what deployment %d broke is told in more than %d bytes", d.Number, maxRegression).WithHint("say it shorter")
	case fix == nil:
		return r, nil
	case fix.App != d.App:
		return r, Reject(CodeUsage, "deployment %d is of %s, and %d of %s", fix.Number, fix.App, d.Number, d.App).
			WithHint("name the deployment of %s that mended it", d.App)
	case fix.Number <= d.Number:
		return r, Reject(CodeUsage, "deployment %d came before %d: it cannot have mended it", fix.Number, d.Number).
			WithHint("slipway deployments %s lists those that came later; a roll back has a number, too", d.App)
	case fix.Status != StatusAccepted:
		return r, Reject(CodeUsage, "deployment %d was not accepted: it is %s, and mended nothing", fix.Number, fix.Status).
			WithHint("without -fixed-by it counts as mended by the next accepted deployment of %s", d.App)
	}
	r.FixedBy = fix.Number
	return r, nil
}
