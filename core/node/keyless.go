package node

import (
	"errors"
	"fmt"
	"strings"

	"github.com/alys-node/alys/sdk/lifecycle"
)

// errNoKeys means that a validator's signers are all empty: a keystore folder that is not there, most likely.
var errNoKeys = errors.New("no signer holds a key")

// wantKeys refuses to start a validator that can sign nothing: a keystore folder that was not mounted, or not filled yet,
// must not look like a node that works. A signer that does not answer now is another matter: it may come back.
func (n *Node) wantKeys() error {
	if v := n.opt.Config.Validator; v != nil && !v.Enabled {
		return nil
	}
	var empty []string
	for _, p := range n.live.all(lifecycle.Signer) {
		keys := p.keys.Load()
		if keys == nil || len(*keys) > 0 {
			return nil
		}
		empty = append(empty, p.id.String())
	}
	if len(empty) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s: make one with `alys keys new`, bring its keystore folder back, or follow the chain only with validator { enabled = false }",
		errNoKeys, strings.Join(empty, ", "))
}
