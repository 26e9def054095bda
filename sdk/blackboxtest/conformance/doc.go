// Package conformance is the program that `alys plugin test` starts: the suite of sdk/blackboxtest, compiled by
// `go test -c` into bin/alys-conformance. A test binary is the one kind of program that may hold test code; the node's
// own command line does not.
//
// It has two tests, TestDescribe and TestPlugin. Each reads a Request in JSON from its standard input and tells what it
// finds as a test does: by the stream of `-test.v=test2json`, with the attributes of sdk/blackboxtest.
package conformance
