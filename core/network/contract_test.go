package network_test

import (
	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/core/network"
)

// What the driver asks of a network is there.
var _ driver.Network = (*network.Network)(nil)
