package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/internal/watermark"
	"github.com/alys-node/alys/plugins/signer/local/internal/local"
	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/keystore/keystoretest"
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
	b := keystoretest.New(t, keystore.BLS12381, "another")
	if err := os.WriteFile(filepath.Join(keys, "d.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, unlocked(keys).config(t, t.TempDir()))
	wantState(t, s, lifecycle.Degraded)
	if h, err := s.Health(t.Context()); err != nil || !strings.Contains(h.Message, "`alys keys unlock --plugin local`") {
		t.Errorf("got %q, %v, want the command that unlocks it", h.Message, err)
	}
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

// TestFirstKey is `alys keys new` on a machine that has none: the folder is empty, or not there, nor what is above it.
func TestFirstKey(t *testing.T) {
	tests := []struct {
		name string
		keys func(t *testing.T) string
	}{
		{"in an empty folder", func(t *testing.T) string { return keystoretest.Folder(t, nil) }},
		{"in a missing folder", func(t *testing.T) string { return filepath.Join(t.TempDir(), "keys") }},
		{"in a missing folder of a missing folder", func(t *testing.T) string { return filepath.Join(t.TempDir(), "alys", "fed-0", "keys") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := unlocked(tt.keys(t))
			c := b.config(t, t.TempDir())
			s := start(t, c)
			wantState(t, s, lifecycle.Degraded)
			if st, err := os.Stat(b.Keystore); err != nil || st.Mode().Perm() != 0o700 {
				t.Fatalf("got mode %v, %v, want 0700", st, err)
			}
			k, err := s.CreateKey(t.Context(), signer.NewKey{Purpose: signer.PurposeApproval})
			if err != nil {
				t.Fatal(err)
			}
			wantState(t, s, lifecycle.Ready)
			if _, err := s.Approve(t.Context(), signer.Approval{Key: k.ID, Header: header(1, 1)}); err != nil {
				t.Fatal(err)
			}
			drain(t, s)
			s = start(t, c)
			wantState(t, s, lifecycle.Ready)
			if ids := keysOf(t, s, signer.PurposeApproval); len(ids) != 1 || ids[0] != k.ID {
				t.Errorf("after a restart: got %v, want %s", ids, k.ID)
			}
		})
	}
}

// TestFirstKeyWithPrompt has no password in its block: the first key is sealed under one that comes with the call.
func TestFirstKeyWithPrompt(t *testing.T) {
	c := prompting(filepath.Join(t.TempDir(), "keys")).config(t, t.TempDir())
	s := start(t, c)
	if _, err := s.CreateKey(t.Context(), signer.NewKey{Purpose: signer.PurposeApproval}); !errors.Is(err, signer.ErrLocked) {
		t.Fatalf("without a password: got %v, want ErrLocked", err)
	}
	made, err := s.CreateKey(t.Context(), signer.NewKey{Purpose: signer.PurposeApproval, Password: signer.Secret(password)})
	if err != nil {
		t.Fatal(err)
	}
	wantState(t, s, lifecycle.Ready)
	drain(t, s)
	s = start(t, c)
	wantState(t, s, lifecycle.Locked)
	if err := s.Unlock(t.Context(), signer.Secret(password)); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, lifecycle.Ready)
	if ids := keysOf(t, s, signer.PurposeApproval); len(ids) != 1 || ids[0] != made.ID {
		t.Errorf("got %v, want %s", ids, made.ID)
	}
}

// TestPasswordIsRememberedOnlyWhenAKeystoreConfirmsIt: a typo would seal the next key for ever.
func TestPasswordIsRememberedOnlyWhenAKeystoreConfirmsIt(t *testing.T) {
	c := prompting(keystoretest.Folder(t, nil)).config(t, t.TempDir())
	s := start(t, c)
	wantNoPassword := func(words string) {
		t.Helper()
		_, err := s.CreateKey(t.Context(), signer.NewKey{Purpose: signer.PurposeApproval})
		if !errors.Is(err, signer.ErrLocked) || !strings.Contains(err.Error(), words) {
			t.Fatalf("got %v, want ErrLocked with %q", err, words)
		}
	}
	if err := s.Unlock(t.Context(), signer.Secret("corect horse")); !errors.Is(err, signer.ErrRefused) {
		t.Errorf("with nothing to confirm it: got %v, want a refusal", err)
	}
	wantNoPassword("`alys keys new --password-file FILE`")

	if _, err := s.CreateKey(t.Context(), signer.NewKey{Purpose: signer.PurposeApproval, Password: signer.Secret(password)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Unlock(t.Context(), signer.Secret("corect horse")); !errors.Is(err, signer.ErrWrongPassword) {
		t.Errorf("with every key open: got %v, want ErrWrongPassword", err)
	}
	wantNoPassword("no password was given and none is known")

	if err := s.Unlock(t.Context(), signer.Secret(password)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateKey(t.Context(), signer.NewKey{Purpose: signer.PurposeBitcoin}); err != nil {
		t.Fatal(err)
	}
	drain(t, s)
	s = start(t, c)
	if err := s.Unlock(t.Context(), signer.Secret(password)); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, lifecycle.Ready) // both
}

func TestFolderThatCannotBeMadeStopsThePlugin(t *testing.T) {
	keys := keyFolder(t)
	b := unlocked(filepath.Join(keys, "a.json", "keys"))
	err := local.New(hclog.NewNullLogger()).Configure(t.Context(), b.config(t, t.TempDir()))
	if err == nil || !strings.Contains(err.Error(), b.Keystore) {
		t.Errorf("got %v, want a failure that names the folder", err)
	}
}

func TestPasswordsThatCannotSealAreRefused(t *testing.T) {
	s := start(t, unlocked(keyFolder(t)).config(t, t.TempDir()))
	for _, bad := range []string{"\n", "\xff\xfe"} {
		r := signer.NewKey{Purpose: signer.PurposeApproval, Password: signer.Secret(bad)}
		if _, err := s.CreateKey(t.Context(), r); !errors.Is(err, signer.ErrRefused) {
			t.Errorf("create with %q: got %v, want a refusal", bad, err)
		}
		if _, err := s.ExportKey(t.Context(), keysOf(t, s, signer.PurposeApproval)[0], signer.Secret(bad)); !errors.Is(err, signer.ErrRefused) {
			t.Errorf("export with %q: got %v, want a refusal", bad, err)
		}
	}
}

func TestImportsThatAreRefused(t *testing.T) {
	s := start(t, unlocked(keyFolder(t)).config(t, t.TempDir()))
	ks := keystoretest.New(t, keystore.BLS12381, "theirs")
	tests := []struct {
		name string
		key  signer.NewKey
		want error
	}{
		{"of another scheme", signer.NewKey{Purpose: signer.PurposeBitcoin, Import: ks, Password: signer.Secret("theirs")}, signer.ErrRefused},
		{"no keystore", signer.NewKey{Purpose: signer.PurposeApproval, Import: []byte("{}")}, signer.ErrRefused},
		{"under another password", signer.NewKey{Purpose: signer.PurposeApproval, Import: ks}, signer.ErrWrongPassword},
		{"for no purpose", signer.NewKey{Purpose: "vote"}, signer.ErrRefused},
		{"with a label too long", signer.NewKey{Purpose: signer.PurposeApproval, Label: strings.Repeat("x", 300)}, signer.ErrRefused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := s.CreateKey(t.Context(), tt.key); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// TestGuardFileThatVanishedFailsTheSigner is what an operator sees who moves the data folder of a running node.
func TestGuardFileThatVanishedFailsTheSigner(t *testing.T) {
	data := t.TempDir()
	s := start(t, unlocked(keyFolder(t)).config(t, data))
	key := keysOf(t, s, signer.PurposeApproval)[0]
	if _, err := s.Approve(t.Context(), signer.Approval{Key: key, Header: header(1, 1)}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(data, "guard"), filepath.Join(data, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Approve(t.Context(), signer.Approval{Key: key, Header: header(2, 1)}); !errors.Is(err, signer.ErrUnavailable) {
		t.Errorf("got %v, want a failure", err)
	}
	wantState(t, s, lifecycle.Failed)
}

// TestUnlockThatOutlivesDrainLeavesNoKey is an unlock that was still deriving when the drain's time was up.
func TestUnlockThatOutlivesDrainLeavesNoKey(t *testing.T) {
	s := start(t, prompting(keyFolder(t)).config(t, t.TempDir()))
	for _, scheme := range []keystore.Scheme{keystore.BLS12381, keystore.Secp256k1} {
		k, err := keystore.Parse(keystoretest.New(t, scheme, password))
		if err != nil {
			t.Fatal(err)
		}
		secret, err := k.Open([]byte(password))
		if err != nil {
			t.Fatal(err)
		}
		drain(t, s)
		if err := local.Hold(s, k, secret); !errors.Is(err, keystore.ErrDestroyed) {
			t.Errorf("%s: got %v, want ErrDestroyed", scheme, err)
		}
		if err := secret.Use(func([]byte) error { return nil }); !errors.Is(err, keystore.ErrDestroyed) {
			t.Errorf("%s: the secret is still in memory: %v", scheme, err)
		}
	}
}
