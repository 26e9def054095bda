// Package telemetry is what an operator sees from outside: Prometheus metrics, health endpoints and logs.
//
// There is one Metrics value a node; it owns its registry, so two nodes in one process do not mix. METRICS.md lists every
// metric; a test holds it equal to the registry.
package telemetry
