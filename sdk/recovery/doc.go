// Package recovery turns what people keep on paper into secret keys: a recovery phrase (BIP-39) with a path, or one bare
// key in WIF or hexadecimal.
//
// An approval key is derived from a phrase's seed by EIP-2333, by default at EIP-2334's path of signing keys,
// m/12381/3600/INDEX/0/0. A Bitcoin key is derived by BIP-32, by default at BIP-87's path of multisig keys,
// m/87'/0'/INDEX'/0/0: a federation's script is a multisig, and BIP-87 is the one layout that does not depend on the kind
// of script, which a federation may change. Its coin type is 0 on every Bitcoin network, so that the path of a key follows
// from the index alone; who wants other keys on a test network names a path.
//
// Results are in locked memory. On the way there the libraries copy a phrase in ordinary memory, which cannot be wiped:
// do this in a process that ends soon, not in a node.
package recovery
