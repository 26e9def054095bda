package swap

import (
	"bytes"
	"testing"
)

// FuzzDecodeJournal is internal because a file for each input would measure the disk. What is read as whole must be
// followed by a new record as if nothing had been behind it.
func FuzzDecodeJournal(f *testing.F) {
	var whole []byte
	last := ""
	for _, s := range States() {
		text, sum, err := encodeLine(Record{State: s, Serial: 1, Reason: "seed"}, last)
		if err != nil {
			f.Fatal(err)
		}
		whole, last = append(whole, text...), sum
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-7])
	f.Add([]byte("\n{}\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		records, good, last, err := decodeJournal(bytes.NewReader(content))
		if err != nil {
			return
		}
		if good < 0 || good > int64(len(content)) {
			t.Fatalf("%d of %d bytes are whole", good, len(content))
		}
		text, _, err := encodeLine(Record{State: Intent}, last)
		if err != nil {
			t.Fatal(err)
		}
		again, _, _, err := decodeJournal(bytes.NewReader(append(content[:good:good], text...)))
		if err != nil || len(again) != len(records)+1 {
			t.Fatalf("%d records and one more are %d, %v", len(records), len(again), err)
		}
	})
}
