package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/internal/keystore"
	"github.com/alys-node/alys/plugins/internal/watermark"
	"github.com/alys-node/alys/plugins/signer/local/internal/local"
	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
)

func wantState(t *testing.T, s *local.Signer, want lifecycle.State) {
	t.Helper()
	h, err := s.Health(t.Context())
	if err != nil || h.State != want {
		t.Fatalf("got %s (%s), %v, want %s", h.State, h.Message, err, want)
	}
	if want != lifecycle.Ready && h.Message == "" {
		t.Errorf("%s without a reason", want)
	}
}

func TestPromptStaysLockedUntilUnlock(t *testing.T) {
	s := start(t, prompting(keyFolder(t)).config(t, t.TempDir()))
	wantState(t, s, lifecycle.Locked)
	key := keysOf(t, s, signer.PurposeApproval)[0]
	a := signer.Approval{Key: key, Header: header(1, 1)}
	if _, err := s.Approve(t.Context(), a); !errors.Is(err, signer.ErrLocked) {
		t.Fatalf("got %v, want ErrLocked", err)
	}
	if err := s.Unlock(t.Context(), signer.Secret("wrong")); !errors.Is(err, signer.ErrWrongPassword) {
		t.Fatalf("got %v, want ErrWrongPassword", err)
	}
	if err := s.RaiseFloor(t.Context(), []signer.Floor{{Key: key, Slot: 5, Height: 5}}); err != nil {
		t.Fatalf("a floor while locked: %v", err)
	}
	if err := s.Unlock(t.Context(), signer.Secret(password)); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, lifecycle.Ready)
	if _, err := s.Approve(t.Context(), a); !errors.Is(err, signer.ErrRefused) {
		t.Fatalf("got %v, want a refusal by the floor", err)
	}
}

func TestKeyUnderAnotherPasswordIsDegraded(t *testing.T) {
	keys := keyFolder(t)
	b, err := newKeystore(keystore.BLS12381, "another")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(keys, "d.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, unlocked(keys).config(t, t.TempDir()))
	wantState(t, s, lifecycle.Degraded)
	if err := s.Unlock(t.Context(), signer.Secret("another")); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, lifecycle.Ready)
}

func TestDrainWipesTheKeysAndLetsTheGuardGo(t *testing.T) {
	c := unlocked(keyFolder(t)).config(t, t.TempDir())
	s := start(t, c)
	key := keysOf(t, s, signer.PurposeApproval)[0]
	if err := local.New(hclog.NewNullLogger()).Configure(t.Context(), c); !errors.Is(err, watermark.ErrHeld) {
		t.Fatalf("a second process on the same folder: got %v, want ErrHeld", err)
	}
	if err := s.Configure(t.Context(), c); !errors.Is(err, lifecycle.ErrConfigured) {
		t.Fatalf("got %v, want ErrConfigured", err)
	}
	if local.Unlocked(s, key) == nil {
		t.Fatal("the key is not unlocked")
	}
	secret := local.Unlocked(s, key)
	for range 2 {
		if err := s.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := secret.Use(func([]byte) error { return nil }); !errors.Is(err, keystore.ErrDestroyed) {
		t.Errorf("the secret is still in memory: %v", err)
	}
	if _, err := s.Approve(t.Context(), signer.Approval{Key: key, Header: header(1, 1)}); !errors.Is(err, lifecycle.ErrDraining) {
		t.Errorf("got %v, want ErrDraining", err)
	}
	wantState(t, s, lifecycle.Draining)
	start(t, c)
}

func TestBeforeConfigureNothingWorks(t *testing.T) {
	s := local.New(hclog.NewNullLogger())
	if _, err := s.Keys(t.Context()); !errors.Is(err, lifecycle.ErrNotConfigured) {
		t.Errorf("got %v, want ErrNotConfigured", err)
	}
	wantState(t, s, lifecycle.Starting)
}

// TestTwoInstancesOverOneKeyFolder is the swap local to local2: the second starts from the floor of the first.
func TestTwoInstancesOverOneKeyFolder(t *testing.T) {
	keys := keyFolder(t)
	first := start(t, unlocked(keys).config(t, t.TempDir()))
	second := start(t, unlocked(keys).config(t, t.TempDir()))
	key := keysOf(t, first, signer.PurposeApproval)[0]
	if _, err := first.Approve(t.Context(), signer.Approval{Key: key, Header: header(7, 1)}); err != nil {
		t.Fatal(err)
	}
	if err := second.RaiseFloor(t.Context(), []signer.Floor{{Key: key, Slot: 7, Height: 7}}); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Approve(t.Context(), signer.Approval{Key: key, Header: header(7, 2)}); !errors.Is(err, signer.ErrRefused) {
		t.Fatalf("got %v, want a refusal", err)
	}
	if _, err := second.Approve(t.Context(), signer.Approval{Key: key, Header: header(8, 1)}); err != nil {
		t.Fatal(err)
	}
}

func TestKeysAreMadeExportedBroughtInAndRemoved(t *testing.T) {
	keys := keyFolder(t)
	c := unlocked(keys).config(t, t.TempDir())
	s := start(t, c)
	for _, purpose := range []signer.Purpose{signer.PurposeApproval, signer.PurposeBitcoin} {
		made, err := s.CreateKey(t.Context(), signer.NewKey{Purpose: purpose, Label: "made"})
		if err != nil {
			t.Fatal(err)
		}
		if made.Purpose != purpose || made.Label != "made" {
			t.Errorf("got %+v", made)
		}
		if pub, err := made.ID.BLS(); err == nil && !bls.VerifyPossession(pub, [96]byte(made.Possession)) {
			t.Error("the proof of possession does not verify")
		}
		exported, err := s.ExportKey(t.Context(), made.ID, signer.Secret("elsewhere"))
		if err != nil {
			t.Fatal(err)
		}
		bring := signer.NewKey{Purpose: purpose, Import: exported, Password: signer.Secret("elsewhere")}
		if _, err := s.CreateKey(t.Context(), bring); !errors.Is(err, signer.ErrRefused) {
			t.Errorf("a key that is held already: got %v, want a refusal", err)
		}
		elsewhere := start(t, unlocked(keyFolder(t)).config(t, t.TempDir()))
		if got, err := elsewhere.CreateKey(t.Context(), bring); err != nil || got.ID != made.ID {
			t.Errorf("got %s, %v, want %s", got.ID, err, made.ID)
		}

		if err := s.RemoveKey(t.Context(), made.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Prove(t.Context(), signer.Challenge{Key: made.ID, Genesis: genesis, Nonce: genesis}); !errors.Is(err, signer.ErrUnknownKey) {
			t.Errorf("a removed key: got %v, want ErrUnknownKey", err)
		}
		if _, err := s.CreateKey(t.Context(), bring); !errors.Is(err, signer.ErrRefused) {
			t.Errorf("a removed key came back: %v", err)
		}
		if err := s.RemoveKey(t.Context(), made.ID); !errors.Is(err, signer.ErrUnknownKey) {
			t.Errorf("got %v, want ErrUnknownKey", err)
		}
		if err := os.WriteFile(filepath.Join(keys, "backup-"+string(purpose)+".json"), exported, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	drain(t, s)
	s = start(t, c) // with files of removed keys in the folder
	if keys, err := s.Keys(t.Context()); err != nil || len(keys) != 3 {
		t.Errorf("got %v, %v, want the three that were there before", keys, err)
	}
}

func TestExportObeysPolicyAndNeedsAPassword(t *testing.T) {
	b := unlocked(keyFolder(t))
	s := start(t, b.config(t, t.TempDir()))
	key := keysOf(t, s, signer.PurposeApproval)[0]
	if _, err := s.ExportKey(t.Context(), key, nil); !errors.Is(err, signer.ErrRefused) {
		t.Errorf("without a password: got %v, want a refusal", err)
	}
	b.AllowExport = false
	s = start(t, b.config(t, t.TempDir()))
	if _, err := s.ExportKey(t.Context(), key, signer.Secret("pw")); !errors.Is(err, signer.ErrRefused) {
		t.Errorf("against policy: got %v, want a refusal", err)
	}
}

func TestEmptyFolderServesItsFirstKey(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.Mkdir(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	s := start(t, unlocked(keys).config(t, t.TempDir()))
	wantState(t, s, lifecycle.Degraded)
	k, err := s.CreateKey(t.Context(), signer.NewKey{Purpose: signer.PurposeApproval})
	if err != nil {
		t.Fatal(err)
	}
	wantState(t, s, lifecycle.Ready)
	if _, err := s.Approve(t.Context(), signer.Approval{Key: k.ID, Header: header(1, 1)}); err != nil {
		t.Fatal(err)
	}
}
