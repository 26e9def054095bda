package main_test

import (
	"testing"

	"github.com/alys-node/alys/sdk/blackboxtest"
	"github.com/alys-node/alys/sdk/lifecycle"
)

func TestBlackBox(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	blackboxtest.Run(t, blackboxtest.Options{
		Path: binary, Kind: lifecycle.Signer, ConfigJSON: options(t, makeKeys(t), "").ConfigJSON,
	})
}
