// Package metrics tells Prometheus how the server is doing.
//
// Counters begin with the server's start, as Prometheus expects them to. What is counted is observed from
// the recorded events; gauges and what the router counts are read when they are asked for.
package metrics

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"slipway/deploy"
)

// Source is where gauges are read.
type Source interface {
	Queue() []deploy.Waiting
	// Instances are those of every app that serve now, with what the router has passed to them.
	Instances(ctx context.Context) ([]Instance, error)
	// Audit tells the sequence of the event recorded last, and of the one that the database had last.
	Audit(ctx context.Context) (recorded, projected uint64, err error)
}

// Instance is an instance as it is now.
type Instance struct {
	deploy.RunningInstance
	Counts deploy.TrafficCounts
}

// Metrics has a registry of its own. It is safe for concurrent use.
type Metrics struct {
	source      Source
	logger      *slog.Logger
	registry    *prometheus.Registry
	deployments *prometheus.CounterVec
	stages      *prometheus.HistogramVec
	described   described

	mu     sync.Mutex
	begun  map[stageKey]time.Time               // stages that run
	last   map[instanceKey]deploy.TrafficCounts // of each instance when it was looked at last
	passed map[deploy.AppName]*[6]float64
}

type stageKey struct {
	deployment deploy.Number
	stage      deploy.StageName
}

type instanceKey struct {
	app     deploy.AppName
	release deploy.Number
	process string
	index   int
}

// described are the metrics that are read when they are asked for.
type described struct {
	queue, requests, memory, cpu, recorded, lag *prometheus.Desc
}

// scrapeTime bounds what one answer may take.
const scrapeTime = 5 * time.Second

// New makes the metrics. It starts nothing.
func New(source Source, logger *slog.Logger) *Metrics {
	m := &Metrics{
		source: source, logger: logger, registry: prometheus.NewRegistry(),
		deployments: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slipway_deployments_total", Help: "Deployments that ended, since the server started.",
		}, []string{"app", "outcome"}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "slipway_stage_duration_seconds", Help: "How long stages took; all test sets are the stage test.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800},
		}, []string{"app", "stage", "outcome"}),
		begun: map[stageKey]time.Time{}, last: map[instanceKey]deploy.TrafficCounts{}, passed: map[deploy.AppName]*[6]float64{},
	}
	of := []string{"app", "process", "index"}
	m.described = described{
		queue:    prometheus.NewDesc("slipway_queue_length", "Deployments in work and waiting.", []string{"app"}, nil),
		requests: prometheus.NewDesc("slipway_router_requests_total", "Requests passed to instances, since the server started; class none got no answer.", []string{"app", "class"}, nil),
		memory:   prometheus.NewDesc("slipway_instance_memory_bytes", "Memory of an instance that serves.", of, nil),
		cpu:      prometheus.NewDesc("slipway_instance_cpu_seconds_total", "CPU time of an instance that serves, since it was started.", of, nil),
		recorded: prometheus.NewDesc("slipway_audit_events_total", "Events in the audit log.", nil, nil),
		lag:      prometheus.NewDesc("slipway_audit_lag_events", "Events that the database has not had yet.", nil, nil),
	}
	m.registry.MustRegister(m.deployments, m.stages, m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler answers Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2, Timeout: 2 * scrapeTime, ErrorHandling: promhttp.ContinueOnError})
}

// Observe counts what a recorded event tells.
func (m *Metrics) Observe(e deploy.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := stageKey{e.Deployment, e.Stage}
	switch e.Type {
	case deploy.EventStageStarted:
		m.begun[key] = e.At
	case deploy.EventStageFinished:
		if at, ok := m.begun[key]; ok {
			stage, _, _ := strings.Cut(string(e.Stage), ".") // the sets' names are the apps' to choose
			m.stages.WithLabelValues(string(e.App), stage, string(e.Outcome)).Observe(e.At.Sub(at).Seconds())
			delete(m.begun, key)
		}
	case deploy.EventAccepted, deploy.EventRejected, deploy.EventCanceled, deploy.EventInterrupted, deploy.EventErrored:
		outcome := strings.TrimPrefix(string(e.Type), "deployment.")
		m.deployments.WithLabelValues(string(e.App), outcome).Inc()
		for k := range m.begun {
			if k.deployment == e.Deployment {
				delete(m.begun, k)
			}
		}
	}
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	d := m.described
	for _, one := range []*prometheus.Desc{d.queue, d.requests, d.memory, d.cpu, d.recorded, d.lag} {
		ch <- one
	}
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	length := map[deploy.AppName]int{}
	for _, w := range m.source.Queue() {
		length[w.Target.App]++
	}
	for app, n := range length {
		ch <- prometheus.MustNewConstMetric(m.described.queue, prometheus.GaugeValue, float64(n), string(app))
	}
	if recorded, projected, err := m.source.Audit(ctx); err != nil {
		m.logger.Warn("reading metrics of the audit log", "error", err)
	} else {
		ch <- prometheus.MustNewConstMetric(m.described.recorded, prometheus.CounterValue, float64(recorded))
		ch <- prometheus.MustNewConstMetric(m.described.lag, prometheus.GaugeValue, float64(recorded)-float64(min(recorded, projected)))
	}
	instances, err := m.source.Instances(ctx)
	if err != nil {
		m.logger.Warn("reading metrics of instances", "error", err)
	}
	for _, i := range instances {
		labels := []string{string(i.App), i.Process, strconv.Itoa(i.Index)}
		ch <- prometheus.MustNewConstMetric(m.described.memory, prometheus.GaugeValue, float64(i.State.Memory), labels...)
		ch <- prometheus.MustNewConstMetric(m.described.cpu, prometheus.CounterValue, i.State.CPU.Seconds(), labels...)
	}
	m.collectRequests(ch, instances)
}

// collectRequests adds what each instance was passed since it was looked at last: instances come and go,
// and a counter must not go back. What one got between the last look and its end is not counted.
func (m *Metrics) collectRequests(ch chan<- prometheus.Metric, instances []Instance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := map[instanceKey]deploy.TrafficCounts{}
	for _, i := range instances {
		key := instanceKey{i.App, i.Release, i.Process, i.Index}
		seen[key] = i.Counts
		if m.passed[i.App] == nil {
			m.passed[i.App] = &[6]float64{}
		}
		for class, n := range i.Counts.ByClass {
			before := m.last[key].ByClass[class]
			if n < before {
				before = 0 // the router began anew
			}
			m.passed[i.App][class] += float64(n - before)
		}
	}
	m.last = seen
	for app, classes := range m.passed {
		for class, n := range classes {
			name := "none"
			if class > 0 {
				name = strconv.Itoa(class) + "xx"
			}
			ch <- prometheus.MustNewConstMetric(m.described.requests, prometheus.CounterValue, n, string(app), name)
		}
	}
}
