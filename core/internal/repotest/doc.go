// Package repotest holds the rules of the repository as tests: who may import whom, and that every package says what it
// is. It has no code of its own.
package repotest
