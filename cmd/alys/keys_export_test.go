package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/keystore/keystoretest"
	"github.com/alys-node/alys/sdk/signer"
)

// TestCopyIsOpenedBeforeItIsCalledABackup has what a signer may hand out instead of the key.
func TestCopyIsOpenedBeforeItIsCalledABackup(t *testing.T) {
	const password = "new"
	id := func(raw []byte) string {
		ks, err := keystore.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		return string(ks.ID())
	}
	for _, scheme := range []keystore.Scheme{keystore.BLS12381, keystore.Secp256k1} {
		wanted, other := keystoretest.New(t, scheme, password), keystoretest.New(t, scheme, password)
		public := func(raw []byte) string {
			_, key, _ := strings.Cut(id(raw), ":")
			return strings.TrimPrefix(key, "0x")
		}
		relabelled := []byte(strings.Replace(string(other), public(other), public(wanted), 1))
		for _, tc := range []struct {
			name     string
			raw      []byte
			password string
			want     error // nil: it is a backup
		}{
			{"the key", wanted, password, nil},
			{"the key under another password", wanted, "old", signer.ErrWrongPassword},
			{"the secret of another key under this key's name", relabelled, password, keystore.ErrMismatch},
		} {
			t.Run(string(scheme)+" "+tc.name, func(t *testing.T) {
				err := checkCopy(tc.raw, admin.ExportKeyRequest{Key: id(wanted), Password: []byte(tc.password)})
				if !errors.Is(err, tc.want) {
					t.Errorf("got %v, want %v", err, tc.want)
				}
			})
		}
		if err := checkCopy(other, admin.ExportKeyRequest{Key: id(wanted), Password: []byte(password)}); err == nil {
			t.Errorf("%s: another key is taken for a backup", scheme)
		}
	}
}
