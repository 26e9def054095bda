// Package liars is the one list of plugins that lie to the node, and of what an operator reads about each. The plugins
// are one real program (testdata/liar) in as many modes. core/host starts each alone and core/internal/devnet has a whole
// node go over to each; both hold the host to this list.
package liars
