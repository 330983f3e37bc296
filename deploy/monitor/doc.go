// Package monitor watches a candidate after the switch and says whether it may stay.
//
// [Monitor.Watch] looks at every instance of the candidate once an interval until the bake time is
// over. A look is a set of measurements: an HTTP probe sent to the instance itself, what the router
// has counted of users' requests, what the operating system tells of the processes, and the new lines
// of the log. Each check answers one question from all looks so far, with one of three answers: pass,
// fail, or not enough data, and shows its numbers. A failure ends the watch as soon as it is certain;
// not enough data never fails by itself, but at the end the last probe must have been answered.
//
// Few requests must be enough for a verdict and one unlucky request must not be one, so shares of
// failures are judged by a sequential test (see score), not by a threshold.
//
// A production that is elsewhere has no instances here: its own address is probed instead, and asked
// for its revision.
//
// The package changes nothing: who called it puts things back. A new check is a type with the methods
// of check, named in newChecks. Start reading at [Monitor.Watch].
package monitor
