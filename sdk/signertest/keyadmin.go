package signertest

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/keystore/keystoretest"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
)

// KeyPolicy says what of key administration the signer under test refuses, as one does whose keys are born in an HSM.
// The zero value refuses nothing. What is named here must be refused by signer.ErrRefused.
type KeyPolicy struct {
	NoImport bool // it brings no key in
	NoExport bool // it gives no key out
	NoRemove bool // it removes no key
	// Purposes are those that it makes keys for; nil is every one.
	Purposes []signer.Purpose
}

func (p KeyPolicy) makes(purpose signer.Purpose) bool {
	return p.Purposes == nil || slices.Contains(p.Purposes, purpose)
}

// purposes are those that every test of key administration goes through.
var purposes = []signer.Purpose{signer.PurposeApproval, signer.PurposeBitcoin}

// oneTime seals what is brought in and what is given out: the signer must not keep it.
var oneTime = signer.Secret("a one-time passwörd")

// holds wants the key listed and usable, and says whether it is.
func (s *subject) holds(t *testing.T, id signer.KeyID) bool {
	t.Helper()
	keys, err := s.s.Keys(ctx(t))
	if err != nil {
		t.Fatalf("list keys: %v", err)
	}
	if !slices.ContainsFunc(keys, func(k signer.Key) bool { return k.ID == id }) {
		t.Errorf("%s is not listed", id)
		return false
	}
	c := signer.Challenge{Key: id, Genesis: s.h.Genesis, Nonce: chain.Hash{7}}
	proof, err := s.s.Prove(ctx(t), c)
	switch {
	case errors.Is(err, lifecycle.ErrUnsupported):
		return true // testChallenge says so
	case err != nil:
		t.Errorf("prove %s: %v", id, err)
		return false
	}
	if err := VerifyChallenge(c, proof); err != nil {
		t.Error(err)
		return false
	}
	return true
}

// restarted goes on with the same signer after a restart, where the harness can do one.
func (s *subject) restarted(t *testing.T) {
	t.Helper()
	if s.h.Restart != nil {
		s.s = s.h.Restart(t, s.s)
	}
}

// create wants a new key, or a refusal where the signer's policy says so.
func (s *subject) create(t *testing.T, admin signer.SignerWithKeyAdmin, k signer.NewKey) (signer.Key, bool) {
	t.Helper()
	made, err := admin.CreateKey(ctx(t), k)
	if !s.h.Keys.makes(k.Purpose) || len(k.Import) > 0 && s.h.Keys.NoImport {
		if !errors.Is(err, signer.ErrRefused) {
			t.Errorf("against policy: create for %s: got error %v, want %v", k.Purpose, err, signer.ErrRefused)
		}
		return made, false
	}
	if err != nil {
		t.Errorf("create for %s: %v", k.Purpose, err)
		return made, false
	}
	return made, true
}

func testNewKeys(t *testing.T, s *subject) {
	admin := need[signer.SignerWithKeyAdmin](t, s, lifecycle.CapKeyAdmin)
	var made []signer.KeyID
	for _, purpose := range purposes {
		k, ok := s.create(t, admin, signer.NewKey{Purpose: purpose, Label: "made by the suite"})
		if !ok {
			continue
		}
		if k.Purpose != purpose || k.Label != "made by the suite" || slices.Contains(made, k.ID) {
			t.Errorf("got %+v", k)
		}
		if purpose == signer.PurposeApproval {
			s.approve(t, k.ID, s.header(10, 5, 0))
			wantPossession(t, k)
		}
		made = append(made, k.ID)
	}
	if _, err := admin.CreateKey(ctx(t), signer.NewKey{Purpose: "vote"}); !errors.Is(err, signer.ErrRefused) {
		t.Errorf("a key of an unknown purpose: got error %v, want %v", err, signer.ErrRefused)
	}
	s.restarted(t)
	for _, id := range made {
		s.holds(t, id)
	}
}

// sealed is a keystore of a fresh key, as another tool seals it.
func sealed(t *testing.T, purpose signer.Purpose, kdf string) (signer.KeyID, []byte) {
	t.Helper()
	scheme, err := keystore.SchemeOf(purpose)
	if err != nil {
		t.Fatal(err)
	}
	raw := keystoretest.NewWith(t, scheme, string(oneTime), kdf)
	ks, err := keystore.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return ks.ID(), raw
}

// testImports brings in keys under a one-time password. After a restart, in which nobody knows that password any more,
// they must be there.
func testImports(t *testing.T, s *subject) {
	admin := need[signer.SignerWithKeyAdmin](t, s, lifecycle.CapKeyAdmin)
	var brought []signer.KeyID
	for _, purpose := range purposes {
		for _, kdf := range []string{keystoretest.PBKDF2, keystoretest.Scrypt} {
			id, raw := sealed(t, purpose, kdf)
			k, ok := s.create(t, admin, signer.NewKey{Purpose: purpose, Import: raw, ImportPassword: oneTime})
			if !ok {
				continue
			}
			if k.ID != id || k.Purpose != purpose || k.Label != keystoretest.Label {
				t.Errorf("%s: got %+v, want %s with the keystore's own description", kdf, k, id)
			}
			if s.holds(t, id) {
				brought = append(brought, id)
			}
		}
	}
	s.restarted(t)
	for _, id := range brought {
		s.holds(t, id)
	}
}

func testBadImports(t *testing.T, s *subject) {
	admin := need[signer.SignerWithKeyAdmin](t, s, lifecycle.CapKeyAdmin)
	if s.h.Keys.NoImport {
		t.Skip("the signer brings no key in, which another rule checks")
	}
	for i, purpose := range purposes {
		if !s.h.Keys.makes(purpose) {
			continue
		}
		id, raw := sealed(t, purpose, keystoretest.PBKDF2)
		otherID, _ := sealed(t, purpose, keystoretest.PBKDF2)
		forged := bytes.Replace(raw, hexOf(id), hexOf(otherID), 1)
		for _, bad := range []struct {
			name string
			key  signer.NewKey
			want error
		}{
			{"under another password", signer.NewKey{Purpose: purpose, Import: raw, ImportPassword: signer.Secret("another")}, signer.ErrWrongPassword},
			{"for the other purpose", signer.NewKey{Purpose: purposes[1-i], Import: raw, ImportPassword: oneTime}, signer.ErrRefused},
			{"with the public key of another", signer.NewKey{Purpose: purpose, Import: forged, ImportPassword: oneTime}, signer.ErrRefused},
			{"of no keystore", signer.NewKey{Purpose: purpose, Import: []byte("{}"), ImportPassword: oneTime}, signer.ErrRefused},
		} {
			if _, err := admin.CreateKey(ctx(t), bad.key); !errors.Is(err, bad.want) {
				t.Errorf("an import for %s %s: got error %v, want %v", purpose, bad.name, err, bad.want)
			}
		}
		if keys, err := s.s.Keys(ctx(t)); err != nil || slices.ContainsFunc(keys, func(k signer.Key) bool { return k.ID == id || k.ID == otherID }) {
			t.Errorf("after imports for %s that failed: the key is listed, or none is: %v", purpose, err)
		}
		good := signer.NewKey{Purpose: purpose, Import: raw, ImportPassword: oneTime}
		if _, ok := s.create(t, admin, good); ok {
			if _, err := admin.CreateKey(ctx(t), good); !errors.Is(err, signer.ErrRefused) {
				t.Errorf("a key that is held already: got error %v, want %v", err, signer.ErrRefused)
			}
		}
	}
}

// hexOf is a key's public part as a keystore writes it.
func hexOf(id signer.KeyID) []byte {
	_, digits, _ := strings.Cut(string(id), ":")
	return []byte(strings.TrimPrefix(digits, "0x"))
}

func testExports(t *testing.T, s *subject) {
	admin := need[signer.SignerWithKeyAdmin](t, s, lifecycle.CapKeyAdmin)
	for _, k := range s.keys {
		raw, err := admin.ExportKey(ctx(t), k.ID, oneTime)
		if s.h.Keys.NoExport {
			if !errors.Is(err, signer.ErrRefused) {
				t.Errorf("against policy: export %s: got error %v, want %v", k.ID, err, signer.ErrRefused)
			}
			continue
		}
		if err != nil {
			t.Errorf("export %s: %v", k.ID, err)
			continue
		}
		wantExport(t, k, raw)
		if _, err := admin.ExportKey(ctx(t), k.ID, nil); !errors.Is(err, signer.ErrRefused) {
			t.Errorf("export %s without a password: got error %v, want %v", k.ID, err, signer.ErrRefused)
		}
	}
	unknown := signer.BLSKey(BLSPublic("a key that no signer holds"))
	if _, err := admin.ExportKey(ctx(t), unknown, oneTime); !errors.Is(err, signer.ErrUnknownKey) && !s.h.Keys.NoExport {
		t.Errorf("export a key that is not held: got error %v, want %v", err, signer.ErrUnknownKey)
	}
}

// wantExport wants an EIP-2335 keystore of the key that its password opens, and no other one does.
func wantExport(t *testing.T, k signer.Key, raw []byte) {
	t.Helper()
	ks, err := keystore.Parse(raw)
	if err != nil {
		t.Errorf("export of %s: %v", k.ID, err)
		return
	}
	if ks.ID() != k.ID || ks.Label() != k.Label {
		t.Errorf("export of %s, labelled %q: got the keystore of %s, labelled %q", k.ID, k.Label, ks.ID(), ks.Label())
	}
	secret, err := ks.Open(oneTime) // checks that the secret is the public key's
	if err != nil {
		t.Errorf("open the export of %s: %v", k.ID, err)
		return
	}
	secret.Destroy()
	if err := ks.CheckPassword([]byte("another")); !errors.Is(err, signer.ErrWrongPassword) {
		t.Errorf("open the export of %s with another password: got error %v, want %v", k.ID, err, signer.ErrWrongPassword)
	}
}

// testRemoval removes a key and tries every way back in.
func testRemoval(t *testing.T, s *subject) {
	admin := need[signer.SignerWithKeyAdmin](t, s, lifecycle.CapKeyAdmin)
	for _, purpose := range purposes {
		if s.h.Keys.NoImport || !s.h.Keys.makes(purpose) {
			continue // without a copy of the key there is no way back in to try
		}
		id, raw := sealed(t, purpose, keystoretest.PBKDF2)
		bring := signer.NewKey{Purpose: purpose, Import: raw, ImportPassword: oneTime}
		if _, ok := s.create(t, admin, bring); !ok {
			continue
		}
		err := admin.RemoveKey(ctx(t), id)
		if s.h.Keys.NoRemove {
			if !errors.Is(err, signer.ErrRefused) {
				t.Errorf("against policy: remove %s: got error %v, want %v", id, err, signer.ErrRefused)
			}
			continue
		}
		if err != nil {
			t.Errorf("remove %s: %v", id, err)
			continue
		}
		s.wantGone(t, id, bring)
		s.restarted(t)
		admin = need[signer.SignerWithKeyAdmin](t, s, lifecycle.CapKeyAdmin)
		s.wantGone(t, id, bring)
	}
	unknown := signer.BLSKey(BLSPublic("a key that no signer holds"))
	if err := admin.RemoveKey(ctx(t), unknown); !errors.Is(err, signer.ErrUnknownKey) && !s.h.Keys.NoRemove {
		t.Errorf("remove a key that is not held: got error %v, want %v", err, signer.ErrUnknownKey)
	}
}

func (s *subject) wantGone(t *testing.T, id signer.KeyID, bring signer.NewKey) {
	t.Helper()
	admin := need[signer.SignerWithKeyAdmin](t, s, lifecycle.CapKeyAdmin)
	keys, err := s.s.Keys(ctx(t))
	if err != nil || slices.ContainsFunc(keys, func(k signer.Key) bool { return k.ID == id }) {
		t.Errorf("the removed key %s is listed, or none is: %v", id, err)
	}
	c := signer.Challenge{Key: id, Genesis: s.h.Genesis, Nonce: chain.Hash{7}}
	if _, err := s.s.Prove(ctx(t), c); !errors.Is(err, signer.ErrUnknownKey) {
		t.Errorf("prove with the removed key %s: got error %v, want %v", id, err, signer.ErrUnknownKey)
	}
	if _, err := admin.CreateKey(ctx(t), bring); !errors.Is(err, signer.ErrRefused) {
		t.Errorf("bring the removed key %s in again: got error %v, want %v", id, err, signer.ErrRefused)
	}
}
