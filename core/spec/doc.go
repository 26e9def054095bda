// Package spec is the chain spec: everything that all nodes of a chain must agree on before they talk, and the functions
// of it: slots, authority sets, the genesis block. Pure.
//
// A spec is a JSON file, or the built-in development chain (Dev). Reading is strict: unknown and repeated keys, wrong
// types and values out of range are refused, all of them at once, each with its line and path.
//
// What changes over the life of a chain is a schedule in the spec, by slot (slot lengths) or by height (authorities and
// federation): there are no heights in code. The genesis hash covers what is fixed for ever, which is the first entry of
// each schedule and everything outside of the schedules, but not the entries that are added later and not the name. So a
// scheduled change does not make another chain. The forks of the execution layer are those of its own genesis, by
// payload timestamp; like later entries they are not part of the genesis hash.
package spec
