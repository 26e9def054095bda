package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// Digest names the content of a binary: "sha256:" and 64 lower-case hex digits, as in alys.hcl.
type Digest string

const digestPrefix = "sha256:"

// ParseDigest reads a checksum as it is written in alys.hcl; the hex digits may be upper-case.
func ParseDigest(s string) (Digest, error) {
	digits, ok := strings.CutPrefix(s, digestPrefix)
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) != sha256.Size {
		return "", fmt.Errorf("checksum %q is not %q and %d hex digits", s, digestPrefix, 2*sha256.Size)
	}
	return Digest(digestPrefix + hex.EncodeToString(raw)), nil
}

// file is the name of the binary's copy in the data folder.
func (d Digest) file() string { return strings.TrimPrefix(string(d), digestPrefix) }

// digestOf reads r to its end.
func digestOf(ctx context.Context, r io.Reader) (Digest, error) {
	h := sha256.New()
	if _, err := io.Copy(h, &cancellable{ctx, r}); err != nil {
		return "", err
	}
	return Digest(digestPrefix + hex.EncodeToString(h.Sum(nil))), nil
}

// cancellable is a reader that ends with a context.
type cancellable struct {
	ctx context.Context
	r   io.Reader
}

// Read reads, unless the context is done.
func (c *cancellable) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
