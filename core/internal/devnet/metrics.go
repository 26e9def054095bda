package devnet

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
)

// Metric adds up the samples of a metric whose labels contain every given text, such as `outcome="failure"`.
func (n *Node) Metric(name string, labels ...string) float64 {
	n.t.Helper()
	sum := 0.0
	n.eachSample(func(series string, value float64) {
		base, rest, _ := strings.Cut(series, "{")
		if base != name {
			return
		}
		for _, l := range labels {
			if !strings.Contains(rest, l) {
				return
			}
		}
		sum += value
	})
	return sum
}

func (n *Node) eachSample(visit func(series string, value float64)) {
	n.t.Helper()
	req, err := http.NewRequestWithContext(n.t.Context(), http.MethodGet, "http://"+n.metrics+"/metrics", nil)
	if err != nil {
		n.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // the body was read
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		at := strings.LastIndexByte(lines.Text(), ' ')
		if at < 0 || strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		if v, err := strconv.ParseFloat(lines.Text()[at+1:], 64); err == nil {
			visit(lines.Text()[:at], v)
		}
	}
	if err := lines.Err(); err != nil {
		n.t.Fatal(err)
	}
}
