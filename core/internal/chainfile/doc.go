// Package chainfile keeps records in one file of JSON lines, each fsynced before Append returns and chained to the one
// before it by hash.
//
// A torn last line, left by a crash, is cut off when the file is opened; damage anywhere else is an error that names the
// line. What the records mean is the caller's.
package chainfile
