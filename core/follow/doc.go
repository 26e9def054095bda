// Package follow is the data plane of sync: it carries out what the sync strategy orders.
//
// A strategy, in a plugin, decides which peer is asked for which blocks; no block crosses to it. A Follower tells it about
// peers, batches and the tip, checks its orders, downloads, verifies, and gives batches to the importer in the order of
// heights. A wrong strategy can make this slow and never unsafe: a batch counts when the certificate of its last block
// verifies, which the hash links carry down to its first.
//
// The target is the highest block whose certificate was verified here, never a claim (D-37). Blocks that are near the head
// are fetched by consensus itself, by hash: the strategy has work when the target is further away than that.
package follow
