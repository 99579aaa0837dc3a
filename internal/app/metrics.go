package app

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// newMetrics is a registry with what Go and the system tell of the process.
func newMetrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// programMetrics are about the program as a whole.
type programMetrics struct {
	loads      *prometheus.CounterVec
	successful prometheus.Gauge
	loadedAt   prometheus.Gauge
}

// newProgramMetrics registers them; the configuration of the start counts as loaded.
func newProgramMetrics(r prometheus.Registerer, version string, ready func() bool) *programMetrics {
	m := &programMetrics{
		loads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "topicwire_config_loads_total", Help: "Configurations by outcome: loaded (that of the start is the first) or refused (it was wrong, the one before stays in force).",
		}, []string{"outcome"}),
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "topicwire_config_last_load_successful", Help: "1 if the configuration file that was looked at last is in force, 0 if it is wrong and an older one is.",
		}),
		loadedAt: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "topicwire_config_last_load_success_timestamp_seconds", Help: "When the configuration in force was loaded, in seconds since 1970.",
		}),
	}
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "topicwire_build_info", Help: "1; the labels say which program this is."}, []string{"version", "go_version"})
	info.WithLabelValues(version, runtime.Version()).Set(1)
	r.MustRegister(info, m.loads, m.successful, m.loadedAt, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "topicwire_ready", Help: "1 while /readyz says so.",
	}, func() float64 {
		if ready() {
			return 1
		}
		return 0
	}))
	m.loads.WithLabelValues("refused")
	m.loaded()
	return m
}

func (m *programMetrics) loaded() {
	m.loads.WithLabelValues("loaded").Inc()
	m.successful.Set(1)
	m.loadedAt.Set(float64(time.Now().UnixMilli()) / 1e3)
}

func (m *programMetrics) refused() {
	m.loads.WithLabelValues("refused").Inc()
	m.successful.Set(0)
}
