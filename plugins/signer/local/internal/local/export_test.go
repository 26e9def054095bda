package local

import (
	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/signer"
)

// Unlocked shows a key's secret memory to the tests.
func Unlocked(s *Signer, id signer.KeyID) *keystore.Locked {
	s.keys.mu.RLock()
	defer s.keys.mu.RUnlock()
	return s.keys.keys[id].secret
}

// Hold puts a key into use, as a call does that has opened its keystore.
func Hold(s *Signer, k *keystore.Keystore, secret *keystore.Locked) error {
	return s.keys.hold(k, secret)
}
