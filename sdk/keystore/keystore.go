package keystore

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/crypto/scrypt"
	"golang.org/x/text/unicode/norm"

	"github.com/alys-node/alys/sdk/signer"
)

// ErrMismatch means that a keystore's public key is not the one of its secret.
var ErrMismatch = errors.New("the keystore's pubkey is not the public key of its secret")

// ErrBadPassword means that a password may not seal a key.
var ErrBadPassword = errors.New("the password cannot seal a keystore")

// rounds is the PBKDF2 work of new keystores, the EIP's.
const rounds = 262_144

// Keystore is a sealed key.
type Keystore struct {
	doc document
	id  signer.KeyID
}

// ID is the key that the keystore says it holds; Open proves it.
func (k *Keystore) ID() signer.KeyID { return k.id }

// Scheme is the key's signature scheme.
func (k *Keystore) Scheme() Scheme { return k.doc.Scheme }

// Label is the keystore's description.
func (k *Keystore) Label() string { return k.doc.Description }

// Path is where in a seed the key was derived (EIP-2334, BIP-32); empty when it is not known.
func (k *Keystore) Path() string { return k.doc.Path }

// Slow reports whether opening takes a lot of memory (scrypt: 256 MiB with the EIP's parameters), so that the caller
// opens few at once.
func (k *Keystore) Slow() bool { return k.doc.Crypto.KDF.Function == kdfScrypt }

// Encode is the keystore as JSON.
func (k *Keystore) Encode() ([]byte, error) {
	d := k.doc
	if d.Scheme == BLS12381 {
		d.Scheme = "" // exactly EIP-2335, for other tools
	}
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode keystore: %w", err)
	}
	return append(b, '\n'), nil
}

// checkPassword refuses what may not seal a key. Bytes that are not UTF-8 all count as one and the same character, so
// a password of random bytes would be a weak one.
func checkPassword(password []byte) error {
	if !utf8.Valid(password) {
		return fmt.Errorf("it is not UTF-8 text (for a random one: openssl rand -hex 32): %w", ErrBadPassword)
	}
	pw := normalize(password)
	defer clear(pw)
	if len(pw) == 0 {
		return fmt.Errorf("it is empty: %w", ErrBadPassword)
	}
	return nil
}

// CheckPassword reports whether a password fits, without unsealing the secret: nil, or signer.ErrWrongPassword.
func (k *Keystore) CheckPassword(password []byte) error {
	key, err := k.doc.Crypto.unlock(password)
	clear(key)
	return err
}

// Open unseals the secret into locked memory. signer.ErrWrongPassword when the password does not fit, ErrMismatch when
// the secret is of another key than the file says.
func (k *Keystore) Open(password []byte) (*Locked, error) {
	c := &k.doc.Crypto
	key, err := c.unlock(password)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	secret := make([]byte, keySize)
	defer clear(secret)
	if err := crypt(key, c.Cipher.Params.IV, secret, c.Cipher.Message); err != nil {
		return nil, err
	}
	id, err := k.doc.Scheme.derive(secret)
	if err != nil {
		return nil, fmt.Errorf("the secret of %s: %w", k.id, err)
	}
	if id != k.id {
		return nil, fmt.Errorf("the file says %s and the secret is of %s: %w", k.id, id, ErrMismatch)
	}
	return NewLocked(secret)
}

// SealRequest is a key to be sealed.
type SealRequest struct {
	Scheme   Scheme
	Secret   *Locked
	Password []byte
	Label    string // at most 1,024 bytes
	Path     string // where in a seed the key was derived; empty when it is not known
}

// Seal makes a keystore. ErrBadPassword for a password that is empty or not UTF-8.
func Seal(r SealRequest) (*Keystore, error) {
	if err := checkPassword(r.Password); err != nil {
		return nil, fmt.Errorf("seal keystore: %w", err)
	}
	k := &Keystore{doc: document{Scheme: r.Scheme, Description: r.Label, Path: r.Path, Version: 4, UUID: newUUID()}}
	c := &k.doc.Crypto
	c.KDF.Function = kdfPBKDF2
	c.KDF.Params = kdfParams{DKLen: keySize, C: rounds, PRF: prfHMACSHA256, Salt: random(keySize)}
	c.Checksum.Function = sumSHA256
	c.Cipher.Function = cipherAESCTR
	c.Cipher.Params.IV = random(ivSize)
	c.Cipher.Message = make([]byte, keySize)
	err := r.Secret.Use(func(secret []byte) error {
		id, err := r.Scheme.derive(secret)
		if err != nil {
			return err
		}
		if k.doc.Pubkey, err = publicBytes(id); err != nil {
			return err
		}
		k.id = id
		key, err := c.derive(r.Password)
		if err != nil {
			return err
		}
		defer clear(key)
		if err := crypt(key, c.Cipher.Params.IV, c.Cipher.Message, secret); err != nil {
			return err
		}
		c.Checksum.Message = checksum(key, c.Cipher.Message)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("seal keystore: %w", err)
	}
	if err := k.doc.check(); err != nil {
		return nil, fmt.Errorf("seal keystore: %w", err)
	}
	return k, nil
}

// unlock derives the key of the cipher and checks that it is the one of the keystore.
func (c *crypto) unlock(password []byte) ([]byte, error) {
	key, err := c.derive(password)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(checksum(key, c.Cipher.Message), c.Checksum.Message) != 1 {
		clear(key)
		return nil, signer.ErrWrongPassword
	}
	return key, nil
}

func (c *crypto) derive(password []byte) ([]byte, error) {
	p := c.KDF.Params
	pw := normalize(password)
	defer clear(pw)
	if c.KDF.Function == kdfPBKDF2 {
		key, err := pbkdf2.Key(sha256.New, string(pw), p.Salt, p.C, p.DKLen)
		if err != nil {
			return nil, fmt.Errorf("derive key: %w", err)
		}
		return key, nil
	}
	key, err := scrypt.Key(pw, p.Salt, p.N, p.R, p.P, p.DKLen)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return key, nil
}

func checksum(key, message []byte) []byte {
	sum := sha256.New()
	sum.Write(key[16:32])
	sum.Write(message)
	return sum.Sum(nil)
}

func crypt(key, iv, dst, src []byte) error {
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		return fmt.Errorf("make cipher: %w", err)
	}
	cipher.NewCTR(block, iv).XORKeyStream(dst, src)
	return nil
}

// normalize is EIP-2335's treatment of a password: NFKD, then no C0, C1 and Delete characters.
func normalize(password []byte) []byte {
	nfkd := norm.NFKD.Append(nil, password...) // Bytes would give the caller's own slice
	defer clear(nfkd)
	out := make([]byte, 0, len(nfkd))
	for _, r := range string(nfkd) {
		if r >= 0x20 && r != 0x7f && (r < 0x80 || r > 0x9f) {
			out = append(out, string(r)...)
		}
	}
	return out
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: the runtime ends the process instead
	return b
}

func newUUID() string {
	b := random(16)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
