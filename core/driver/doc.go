// Package driver carries out what consensus decides.
//
// One goroutine owns the consensus machine: it feeds it ticks, messages and answers, and carries out its effects in
// order. Orders to the engine run one after another on a second goroutine (an engine has one writer and one order), what
// came by sync is stored on a third while the engine executes what follows, and signatures are asked for on short-lived
// ones; their outcomes come back as events. The driver decides nothing about blocks: whether
// one is valid is chain's question, whether one is notarized or safe is consensus's, and whether a key may sign is the
// guard's.
package driver
