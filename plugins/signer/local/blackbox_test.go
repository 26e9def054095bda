package main_test

import (
	"os"
	"testing"

	"github.com/alys-node/alys/sdk/blackboxtest"
	"github.com/alys-node/alys/sdk/lifecycle"
)

func TestBlackBox(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	if os.Geteuid() != 0 {
		t.Skip("the signer closes itself to other processes of its user: only root sees its descriptors")
	}
	blackboxtest.Run(t, blackboxtest.Options{
		Path: binary, Kind: lifecycle.Signer, ConfigJSON: options(t, makeKeys(t), "").ConfigJSON,
	})
}
