package node

import (
	"errors"
	"fmt"
	"strings"

	"github.com/alys-node/alys/sdk/lifecycle"
)

// errNoKeys means that a validator's signer is empty: a keystore folder that is not there, most likely. It must not look
// like one that works.
var errNoKeys = errors.New("signer holds no keys")

const noKeysHint = "make one with `alys keys new`, bring its keystore folder back, or follow the chain only with validator { enabled = false }"

// validates reports whether this node is to sign.
func (n *Node) validates() bool {
	v := n.opt.Config.Validator
	return v == nil || v.Enabled
}

// keyless says that no signer of this validator holds a key, and what to do; "" where one does. It is for a node that
// came up again: what it runs was admitted with keys. A signer that does not answer now is another matter.
func (n *Node) keyless() string {
	if !n.validates() {
		return ""
	}
	var empty []string
	for _, p := range n.live.all(lifecycle.Signer) {
		keys := p.keys.Load()
		if keys == nil || len(*keys) > 0 {
			return ""
		}
		empty = append(empty, p.id.String())
	}
	if len(empty) == 0 {
		return ""
	}
	return fmt.Sprintf("%s: %s: %s", strings.Join(empty, ", "), errNoKeys, noKeysHint)
}
