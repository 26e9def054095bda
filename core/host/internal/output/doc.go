// Package output turns what a plugin prints on stderr and stdout into log entries of the host.
//
// Structured lines (hclog's JSON) keep their level and their pairs; other lines are levelled by their prefix. Nothing
// that a plugin prints can hurt the host: lines are cut, entries are rate-limited and the lost ones are counted, the
// last lines and the text of a panic are kept for whoever has to explain a death.
package output
