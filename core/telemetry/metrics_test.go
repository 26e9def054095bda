package telemetry_test

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/alys-node/alys/core/telemetry"
)

var update = flag.Bool("update", false, "rewrite METRICS.md")

// page lists every metric of the node, from the registered collectors themselves.
func page(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	var lines []string
	for field, value := range reflect.ValueOf(m).Elem().Fields() {
		c, ok := reflect.TypeAssert[prometheus.Collector](value)
		if !ok || field.Name == "Registry" {
			continue
		}
		descs := make(chan *prometheus.Desc, 1)
		c.Describe(descs)
		text := (<-descs).String()
		name := between(text, `fqName: "`, `"`)
		labels := between(text, "variableLabels: {", "}")
		lines = append(lines, fmt.Sprintf("| `%s` | %s | %s |", name, strings.ReplaceAll(labels, ",", ", "), between(text, `help: "`, `"`)))
	}
	sort.Strings(lines)
	return "# Metrics\n\nServed on the metrics listener under `/metrics`, beside Go's and the process's own. Seconds and bytes.\n\n" +
		"| metric | labels | meaning |\n|---|---|---|\n" + strings.Join(lines, "\n") + "\n"
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

func TestMetricsPageEqualsTheRegistry(t *testing.T) {
	want := page(t, telemetry.New("test", "dev"))
	if *update {
		if err := os.WriteFile("METRICS.md", []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("METRICS.md differs from the registry (run with -update):\n%s", diff)
	}
}

// O-17: v1's metrics endpoint failed on wrong label counts. Every vector is used here with its labels.
func TestO17_EveryMetricCanBeObserved(t *testing.T) {
	m := telemetry.New("test", "dev")
	for _, value := range reflect.ValueOf(m).Elem().Fields() {
		labels := func(c prometheus.Collector) []string {
			descs := make(chan *prometheus.Desc, 1)
			c.Describe(descs)
			text := between((<-descs).String(), "variableLabels: {", "}")
			return make([]string, len(strings.Split(text, ",")))
		}
		switch c := value.Interface().(type) {
		case *prometheus.GaugeVec:
			c.WithLabelValues(labels(c)...).Set(1)
		case *prometheus.CounterVec:
			c.WithLabelValues(labels(c)...).Inc()
		case *prometheus.HistogramVec:
			c.WithLabelValues(labels(c)...).Observe(1)
		}
	}
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "alys_") {
			found++
		}
	}
	if found < 20 {
		t.Errorf("%d metrics gathered, want at least 20", found)
	}
}
