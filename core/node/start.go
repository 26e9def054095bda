package node

import (
	"context"
	"errors"
	"net"

	"github.com/alys-node/alys/core/swap"
)

// startPlugins brings up what the journal says runs, and then goes to the file. The file's blocks are resolved by probes
// first; when that finds errors, what ran before comes up all the same, if there is any.
func (n *Node) startPlugins(ctx context.Context) error {
	if err := n.swap.Load(ctx); err != nil {
		return err
	}
	d, diags, err := n.desired(ctx, n.opt.Config)
	if err == nil {
		err = diags.Err()
	}
	if err == nil {
		err = n.heed(ctx, n.opt.Config)
	}
	for _, w := range diags {
		n.log.Warn("configuration", "finding", w.String())
	}
	if err != nil {
		report, startErr := n.swap.StartApplied(ctx)
		if errors.Is(startErr, swap.ErrNothingApplied) {
			return err
		}
		n.reported(report, err)
		return startErr
	}
	report, err := n.swap.Start(ctx, d)
	n.reported(report, err)
	return err
}

// closed takes the error of closing a listener that may be closed already.
func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
