package host

import "context"

// Checksum is the digest of a command as it is now, for pinning it. Nothing is copied or started.
func (h *Host) Checksum(ctx context.Context, command string) (Digest, error) {
	f, err := open(h.config.PluginDir, command)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // it was only read
	return digestOf(ctx, f)
}
