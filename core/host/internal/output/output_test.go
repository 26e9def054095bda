package output_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/host/internal/output"
)

func limits() output.Limits {
	return output.Limits{LinesPerSecond: 10, LineBytes: 128, LastLines: 3, PanicBytes: 200}
}

func forward(t *testing.T, text string) (*output.Forwarder, string) {
	t.Helper()
	var b bytes.Buffer
	f := output.New(hclog.New(&hclog.LoggerOptions{Output: &b, Level: hclog.Trace, DisableTime: true}), limits())
	f.Copy(io.NopCloser(strings.NewReader(text)))
	return f, b.String()
}

func TestALineKeepsItsLevelAndPairs(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"a structured line", `{"@level":"warn","@message":"disk","@timestamp":"x","free":12345678}`, "[WARN]  disk: free=12345678\n"},
		{"a structured line without a level", `{"@message":"hello"}`, "[INFO]  hello\n"},
		{"a nested value", `{"@message":"a","l":[1,{"b":2}]}`, "[INFO]  a: l=\"[1,{\\\"b\\\":2}]\"\n"},
		{"JSON of somebody else", `{"msg":"hello"}`, "[INFO]  {\"msg\":\"hello\"}\n"},
		{"a level in brackets", "[ERROR] it broke", "[ERROR] it broke\n"},
		{"another word in brackets", "[geth] it broke", "[INFO]  [geth] it broke\n"},
		{"a plain line", "hello\r", "[INFO]  hello\n"},
		{"bytes that are no text", "a\xffb", "[INFO]  a\uFFFDb\n"},
		{"a long line", strings.Repeat("x", 200), "[INFO]  " + strings.Repeat("x", 128) + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, got := forward(t, c.line+"\n"); got != c.want {
				t.Errorf("logged %q, want %q", got, c.want)
			}
		})
	}
}

func TestTheLastLinesExplainAnEnd(t *testing.T) {
	f, _ := forward(t, "one\ntwo\nthree\n{\"@level\":\"error\",\"@message\":\"four\",\"n\":4}\n")
	if diff := cmp.Diff([]string{"two", "three", "error: four n=4"}, f.Last()); diff != "" {
		t.Error(diff)
	}
	f, log := forward(t, "before\npanic: oh no\n\ngoroutine 1 [running]:\nmain.main()\n")
	if diff := cmp.Diff([]string{"panic: oh no", "goroutine 1 [running]:", "main.main()"}, f.Last()); diff != "" {
		t.Error(diff)
	}
	if want := "panic: oh no\ngoroutine 1 [running]:\nmain.main()"; f.Panic() != want || !strings.Contains(log, "[ERROR] main.main()") {
		t.Errorf("panic is %q, log is %s", f.Panic(), log)
	}
	if f, _ := forward(t, "panic: x\n"+strings.Repeat("stack\n", 1000)); len(f.Panic()) > limits().PanicBytes {
		t.Errorf("kept %d bytes of a panic", len(f.Panic()))
	}
}

func TestAFloodIsCutCountedAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, log := forward(t, strings.Repeat("flood\n", 1000))
		if n := strings.Count(log, "flood"); n != 50 {
			t.Errorf("%d lines in a burst, want 50", n)
		}
		if f.Lost() != 950 || !strings.Contains(log, "dropped=950") {
			t.Errorf("lost %d; log ends %s", f.Lost(), log[max(0, len(log)-200):])
		}
		<-time.After(time.Second)
		f.Copy(io.NopCloser(strings.NewReader(strings.Repeat("flood\n", 100))))
		if f.Lost() != 950+90 {
			t.Errorf("lost %d in all: a second gives ten lines", f.Lost())
		}
	})
}

func TestPiecesBecomeLines(t *testing.T) {
	var b bytes.Buffer
	f := output.New(hclog.New(&hclog.LoggerOptions{Output: &b, DisableTime: true}), limits())
	w := f.Writer()
	for _, piece := range []string{"hel", "lo\nwor", "ld\n\n", strings.Repeat("y", 129)} {
		if n, err := io.WriteString(w, piece); n != len(piece) || err != nil {
			t.Fatalf("write %q: %d, %v", piece, n, err)
		}
	}
	if want := "[INFO]  hello\n[INFO]  world\n[INFO]  " + strings.Repeat("y", 129) + "\n"; b.String() != want {
		t.Errorf("logged %q, want %q", b.String(), want)
	}
}

func FuzzForwarder(f *testing.F) {
	f.Add([]byte("panic: x\n{\"@message\":1}\n[WARN"))
	f.Add([]byte(`{"@message":"a","@level":"off","b":{"c":[null]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		fw := output.New(hclog.NewNullLogger(), limits())
		fw.Copy(io.NopCloser(bytes.NewReader(raw)))
		if len(fw.Last()) > limits().LastLines || len(fw.Panic()) > limits().PanicBytes {
			t.Errorf("kept %d lines and %d bytes", len(fw.Last()), len(fw.Panic()))
		}
	})
}
