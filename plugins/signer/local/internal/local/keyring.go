package local

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/alys-node/alys/plugins/internal/keyfolder"

	"golang.org/x/sync/errgroup"

	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/signer"
)

// newKeyCommand is how a key is made where no password is known.
const newKeyCommand = "`alys keys new --password-file FILE`"

// keyring is the keys of one folder. A key is held from its keystore's listing on; its secret only once it is unlocked.
type keyring struct {
	dir   *keyfolder.Dir
	admin sync.Mutex // one unlock, creation or removal at a time

	mu       sync.RWMutex // guards all below
	keys     map[signer.KeyID]*held
	password *keystore.Locked // what the keystores opened with; nil before
	gone     bool             // destroyed: nothing is held any more
}

// held is one key. It is replaced, never changed.
type held struct {
	store      *keystore.Keystore
	secret     *keystore.Locked // nil while locked
	possession []byte           // of a BLS key, while unlocked
}

func newKeyring(dir *keyfolder.Dir, entries []keyfolder.Entry) *keyring {
	k := &keyring{dir: dir, keys: map[signer.KeyID]*held{}}
	for _, e := range entries {
		k.keys[e.Keystore.ID()] = &held{store: e.Keystore}
	}
	return k
}

func (k *keyring) list() []signer.Key {
	k.mu.RLock()
	defer k.mu.RUnlock()
	keys := make([]signer.Key, 0, len(k.keys))
	for id, h := range k.keys {
		keys = append(keys, h.describe(id))
	}
	slices.SortFunc(keys, func(a, b signer.Key) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return keys
}

func (h *held) describe(id signer.KeyID) signer.Key {
	return signer.Key{
		ID: id, Purpose: h.store.Scheme().Purpose(), Label: label(h.store.Label()), Possession: slices.Clone(h.possession),
	}
}

// label cuts a description that another tool wrote: the host takes no longer one.
func label(s string) string {
	if len(s) <= maxLabel {
		return s
	}
	return strings.ToValidUTF8(s[:maxLabel], "")
}

func (k *keyring) locked() int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	n := 0
	for _, h := range k.keys {
		if h.secret == nil {
			n++
		}
	}
	return n
}

// find gives an unlocked key of a purpose: ErrUnknownKey when it is not held or is for something else.
func (k *keyring) find(id signer.KeyID, purpose signer.Purpose) (*held, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	h, ok := k.keys[id]
	if !ok || h.store.Scheme().Purpose() != purpose {
		return nil, fmt.Errorf("%s for %s: %w", id, purpose, signer.ErrUnknownKey)
	}
	if h.secret == nil {
		return nil, fmt.Errorf("%s: %w", id, signer.ErrLocked)
	}
	return h, nil
}

// unlock opens every locked keystore that the password fits, and remembers it then. With none left locked it only holds
// the password against the keys that there are. With none that it fits the error is signer.ErrWrongPassword, with no key
// at all signer.ErrRefused: what was typed is never remembered without a keystore that confirms it, because new keys would
// be sealed under a typo. A keystore that is damaged is an error of its own.
func (k *keyring) unlock(ctx context.Context, password []byte) error {
	k.admin.Lock()
	defer k.admin.Unlock()
	sealed := k.sealed()
	if len(sealed) == 0 {
		if err := k.confirm(ctx, password); err != nil {
			return err
		}
		return k.remember(password)
	}
	var (
		mu     sync.Mutex // guards opened
		opened int
		slow   sync.Mutex // scrypt takes 256 MiB a time
		group  errgroup.Group
	)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, ks := range sealed {
		group.Go(func() error {
			if ks.Slow() {
				slow.Lock()
				defer slow.Unlock()
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			secret, err := ks.Open(password)
			if errors.Is(err, signer.ErrWrongPassword) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("open keystore of %s: %w", ks.ID(), err)
			}
			mu.Lock()
			opened++
			mu.Unlock()
			return k.hold(ks, secret)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if opened == 0 {
		return fmt.Errorf("none of %d keystores opened: %w", len(sealed), signer.ErrWrongPassword)
	}
	return k.remember(password)
}

// confirm is nil when the password fits one of the keystores, which are all open already. The quick ones are asked first.
func (k *keyring) confirm(ctx context.Context, password []byte) error {
	all := k.stores()
	if len(all) == 0 {
		return fmt.Errorf("the keystore folder holds no key to unlock: make one with %s: %w", newKeyCommand, signer.ErrRefused)
	}
	slices.SortFunc(all, byPace)
	for _, ks := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := ks.CheckPassword(password); !errors.Is(err, signer.ErrWrongPassword) {
			return err
		}
	}
	return fmt.Errorf("it fits none of %d keystores, which are open already: %w", len(all), signer.ErrWrongPassword)
}

// byPace orders keystores by how quickly they open.
func byPace(a, b *keystore.Keystore) int {
	switch {
	case a.Slow() == b.Slow():
		return 0
	case b.Slow():
		return -1
	}
	return 1
}

func (k *keyring) stores() []*keystore.Keystore {
	k.mu.RLock()
	defer k.mu.RUnlock()
	out := make([]*keystore.Keystore, 0, len(k.keys))
	for _, h := range k.keys {
		out = append(out, h.store)
	}
	return out
}

func (k *keyring) sealed() []*keystore.Keystore {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var out []*keystore.Keystore
	for _, h := range k.keys {
		if h.secret == nil {
			out = append(out, h.store)
		}
	}
	return out
}

// remember keeps the first password that opened keystores, or the configured one of an empty folder, to seal new keys under.
func (k *keyring) remember(password []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.gone {
		return keystore.ErrDestroyed
	}
	if k.password != nil || len(password) == 0 {
		return nil
	}
	var err error
	k.password, err = keystore.NewLocked(slices.Clone(password))
	return err
}

// hold puts an unlocked key into use.
func (k *keyring) hold(ks *keystore.Keystore, secret *keystore.Locked) error {
	h := &held{store: ks, secret: secret}
	if ks.Scheme() == keystore.BLS12381 {
		err := h.withBLS(func(key *bls.SecretKey) {
			proof := key.Possession()
			h.possession = proof[:]
		})
		if err != nil {
			secret.Destroy()
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.gone { // a call that outlived Drain
		secret.Destroy()
		return keystore.ErrDestroyed
	}
	k.keys[ks.ID()] = h
	return nil
}

// withPassword calls fn with given, or with the remembered password when given is empty.
func (k *keyring) withPassword(given []byte, fn func(password []byte) error) error {
	if len(given) > 0 {
		return fn(given)
	}
	k.mu.RLock()
	known, empty := k.password, len(k.keys) == 0
	k.mu.RUnlock()
	if known == nil && empty {
		return fmt.Errorf("no password was given and none is known, as the keystore folder holds no keys yet: make the first one with %s: %w",
			newKeyCommand, signer.ErrLocked)
	}
	if known == nil {
		return fmt.Errorf("no password was given and none is known: %w", signer.ErrLocked)
	}
	return known.Use(fn)
}

// add seals a key into the folder and puts it into use.
func (k *keyring) add(r signer.NewKey) (signer.Key, error) {
	k.admin.Lock()
	defer k.admin.Unlock()
	seal, err := k.material(r)
	if err != nil {
		return signer.Key{}, err
	}
	secret := seal.Secret
	var ks *keystore.Keystore
	err = k.withPassword(r.Password, func(password []byte) (err error) {
		seal.Password = password
		ks, err = keystore.Seal(seal)
		return err
	})
	if err == nil {
		_, err = k.dir.Save(ks)
	}
	if err != nil {
		secret.Destroy()
		if errors.Is(err, keyfolder.ErrRemoved) || errors.Is(err, keyfolder.ErrExists) || errors.Is(err, keystore.ErrBadPassword) {
			return signer.Key{}, fmt.Errorf("%w: %w", signer.ErrRefused, err)
		}
		return signer.Key{}, err
	}
	if err := k.hold(ks, secret); err != nil {
		return signer.Key{}, err
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.keys[ks.ID()].describe(ks.ID()), nil
}

// material is a new key's secret, random or out of the keystore that is brought in, with what is told of it.
func (k *keyring) material(r signer.NewKey) (keystore.SealRequest, error) {
	out := keystore.SealRequest{Label: r.Label}
	var err error
	if out.Scheme, err = keystore.SchemeOf(r.Purpose); err != nil {
		return out, fmt.Errorf("%w: %w", signer.ErrRefused, err)
	}
	if len(r.Import) == 0 {
		out.Secret, err = out.Scheme.Generate()
		return out, err
	}
	ks, err := keystore.Parse(r.Import)
	if err != nil {
		return out, fmt.Errorf("%w: %w", signer.ErrRefused, err)
	}
	if ks.Scheme() != out.Scheme {
		return out, fmt.Errorf("%w: a keystore of %s is not for %s", signer.ErrRefused, ks.Scheme(), r.Purpose)
	}
	if out.Path = ks.Path(); out.Label == "" {
		out.Label = label(ks.Label())
	}
	out.Secret, err = k.openImport(ks, r)
	return out, err
}

// openImport opens a keystore that is brought in.
func (k *keyring) openImport(ks *keystore.Keystore, r signer.NewKey) (*keystore.Locked, error) {
	opening := r.ImportPassword
	if len(opening) == 0 {
		opening = r.Password
	}
	var secret *keystore.Locked
	err := k.withPassword(opening, func(password []byte) (err error) {
		secret, err = ks.Open(password)
		return err
	})
	if errors.Is(err, keystore.ErrMismatch) || errors.Is(err, keystore.ErrBadSecret) {
		err = fmt.Errorf("%w: %w", signer.ErrRefused, err)
	}
	return secret, err
}

// export seals an unlocked key under another password.
func (k *keyring) export(id signer.KeyID, password []byte) ([]byte, error) {
	k.mu.RLock()
	h, ok := k.keys[id]
	k.mu.RUnlock()
	switch {
	case !ok:
		return nil, fmt.Errorf("%s: %w", id, signer.ErrUnknownKey)
	case h.secret == nil:
		return nil, fmt.Errorf("%s: %w", id, signer.ErrLocked)
	case len(password) == 0:
		return nil, fmt.Errorf("an export needs a password: %w", signer.ErrRefused)
	}
	ks, err := keystore.Seal(keystore.SealRequest{
		Scheme: h.store.Scheme(), Secret: h.secret, Password: password, Label: h.store.Label(), Path: h.store.Path(),
	})
	if errors.Is(err, keystore.ErrBadPassword) {
		return nil, fmt.Errorf("%w: %w", signer.ErrRefused, err)
	}
	if err != nil {
		return nil, err
	}
	return ks.Encode()
}

// remove writes the tombstone, stops using the key, wipes it and deletes its files. The key is out of use even when a
// later part fails.
func (k *keyring) remove(id signer.KeyID, at time.Time) error {
	k.admin.Lock()
	defer k.admin.Unlock()
	k.mu.RLock()
	h, ok := k.keys[id]
	k.mu.RUnlock()
	if !ok {
		return fmt.Errorf("%s: %w", id, signer.ErrUnknownKey)
	}
	err := k.dir.Remove(id, at)
	if err != nil && !errors.Is(k.dir.Removed(id), keyfolder.ErrRemoved) {
		return err // nothing was changed
	}
	k.mu.Lock()
	delete(k.keys, id)
	k.mu.Unlock()
	if h.secret != nil {
		h.secret.Destroy()
	}
	return err
}

// destroy wipes everything.
func (k *keyring) destroy() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gone = true
	for _, h := range k.keys {
		if h.secret != nil {
			h.secret.Destroy()
		}
	}
	if k.password != nil {
		k.password.Destroy()
	}
}
