package recovery

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/tyler-smith/go-bip39"
	"golang.org/x/text/unicode/norm"

	"github.com/alys-node/alys/sdk/keystore"
)

// ErrPhrase means that a text is not a recovery phrase. Its errors never show a word.
var ErrPhrase = errors.New("not a recovery phrase")

// newPhraseBits is the entropy of a new phrase: 24 words.
const newPhraseBits = 256

// MaxPhrase is the longest text that is read as a phrase, in bytes.
const MaxPhrase = 4096

// Phrase is a BIP-39 mnemonic of the English list. Its formatting never shows the words.
type Phrase struct{ words *keystore.Locked }

// NewPhrase makes 24 random words.
func NewPhrase() (*Phrase, error) {
	entropy, err := bip39.NewEntropy(newPhraseBits)
	if err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	defer clear(entropy)
	words, err := bip39.NewMnemonic(entropy)
	if err != nil {
		return nil, fmt.Errorf("make phrase: %w", err)
	}
	return lockPhrase([]byte(words))
}

// ParsePhrase reads 12, 15, 18, 21 or 24 words, in any case and with any space between them, and checks their checksum.
func ParsePhrase(text []byte) (*Phrase, error) {
	if len(text) > MaxPhrase {
		return nil, fmt.Errorf("%w: a text of %d bytes", ErrPhrase, len(text))
	}
	plain := norm.NFKD.Append(nil, text...)
	defer clear(plain)
	words := bytes.Fields(bytes.ToLower(plain))
	if !slices.Contains([]int{12, 15, 18, 21, 24}, len(words)) {
		return nil, fmt.Errorf("%w: it has %d words, want 12, 15, 18, 21 or 24", ErrPhrase, len(words))
	}
	for i, w := range words {
		if _, ok := bip39.GetWordIndex(string(w)); !ok {
			return nil, fmt.Errorf("%w: word %d is not in the English list of BIP-39", ErrPhrase, i+1)
		}
	}
	joined := bytes.Join(words, []byte(" "))
	if _, err := bip39.EntropyFromMnemonic(string(joined)); err != nil {
		clear(joined)
		return nil, fmt.Errorf("%w: its checksum is wrong: a word is another one, or their order is", ErrPhrase)
	}
	return lockPhrase(joined)
}

func lockPhrase(words []byte) (*Phrase, error) {
	l, err := keystore.NewLocked(words)
	if err != nil {
		return nil, err
	}
	return &Phrase{l}, nil
}

// Use calls fn with the words, one space between two. fn must neither keep nor change them.
func (p *Phrase) Use(fn func(words []byte) error) error { return p.words.Use(fn) }

// Destroy wipes the words.
func (p *Phrase) Destroy() { p.words.Destroy() }

// Seed is the BIP-39 seed under a passphrase, which may be empty: 64 bytes in locked memory.
func (p *Phrase) Seed(passphrase []byte) (*keystore.Locked, error) {
	var seed []byte
	err := p.words.Use(func(words []byte) error {
		seed = bip39.NewSeed(string(words), norm.NFKD.String(string(passphrase)))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return keystore.NewLocked(seed)
}
