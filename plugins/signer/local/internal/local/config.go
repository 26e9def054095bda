package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/alys-node/alys/plugins/internal/keyfolder"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/schema"
	"github.com/alys-node/alys/sdk/signer"
)

// How the keystores are unlocked.
const (
	unlockConfig = "config" // with the password of the configuration
	unlockPrompt = "prompt" // by `alys keys unlock`
)

// settings is the plugin's block.
type settings struct {
	Keystore    string `json:"keystore"`
	Password    string `json:"password"`
	Unlock      string `json:"unlock"`
	AllowExport bool   `json:"allow_export"`
	Bench       bool   `json:"bench"`
}

// Schema implements lifecycle.Plugin.
func (*Signer) Schema() schema.Block {
	return schema.Block{
		Doc: "Keys in EIP-2335 keystores on this machine.",
		Attributes: []schema.Attribute{
			{
				Name: "keystore", Type: schema.Path, Required: true,
				Doc: "The folder of the keystores; folder 0700, files 0600. It is made when it is missing.",
			},
			{
				Name: "password", Type: schema.String, Sensitive: true,
				Doc: `The password of the keystores, as file("…") or env("…"); a newline at its end does not count.`,
			},
			{
				Name: "unlock", Type: schema.String, Default: `"config"`,
				Doc: `"config" takes the password above, "prompt" stays locked until "alys keys unlock".`,
			},
			{
				Name: "allow_export", Type: schema.Bool, Default: "true",
				Doc: "Whether an operator may export keys, sealed under a new password.",
			},
			{
				Name: "bench", Type: schema.Bool, Default: "false",
				Doc: `Whether "alys bench sign" may measure it: with keys that everybody knows, under a chain that does not exist.`,
			},
		},
	}
}

// Validate implements lifecycle.Plugin. It stops at the first keystore that opens, because opening is slow on purpose.
func (*Signer) Validate(ctx context.Context, c lifecycle.Config) diag.Diagnostics {
	var s settings
	if ds := c.Check(&s); ds.HasErrors() {
		return ds
	}
	ds := s.check()
	if s.Keystore == "" {
		return ds
	}
	dir, err := keyfolder.OpenDir(s.Keystore)
	if errors.Is(err, os.ErrNotExist) {
		return append(ds, noKeys(s.Keystore+" does not exist yet"))
	}
	if err != nil {
		return append(ds, finding(err))
	}
	entries, faults := dir.List()
	for _, f := range faults {
		ds = append(ds, finding(f))
	}
	if len(entries) == 0 && len(faults) == 0 {
		ds = append(ds, noKeys(s.Keystore+" holds no keystores"))
	}
	if len(entries) > 0 && s.Unlock == unlockConfig && s.Password != "" && ctx.Err() == nil {
		_ = keystore.Harden() // Configure says when it cannot be done
		ds = append(ds, tryPassword(ctx, entries, s.Password)...)
	}
	return ds
}

// noKeys is the warning of a signer before its first key, which `alys keys new` makes through the signer itself.
func noKeys(summary string) diag.Diagnostic {
	return diag.Diagnostic{
		Severity: diag.Warning, Path: []string{"keystore"}, Summary: summary,
		Detail: "make a key with `alys keys new`, or copy a keystore there; until then the signer signs nothing",
	}
}

// check finds what is wrong with the block by itself.
func (s settings) check() diag.Diagnostics {
	switch {
	case s.Keystore == "":
		return diag.Diagnostics{diag.Errorf([]string{"keystore"}, `name a folder, as in keystore = "./keys"`, "the keystore folder has no name")}
	case s.Unlock != unlockConfig && s.Unlock != unlockPrompt:
		return diag.Diagnostics{diag.Errorf([]string{"unlock"}, `write "config" or "prompt"`, "unlock is %q", s.Unlock)}
	case s.Unlock == unlockConfig && s.Password == "":
		return diag.Diagnostics{diag.Errorf([]string{"password"},
			`set password = file("password.txt"), or unlock = "prompt" and run "alys keys unlock"`, "there is no password to unlock with")}
	case s.Unlock == unlockPrompt && s.Password != "":
		return diag.Diagnostics{diag.Errorf([]string{"password"},
			`remove the password, or set unlock = "config"`, `there is a password, and unlock = "prompt" asks for one`)}
	}
	return nil
}

// tryPassword wants what Configure wants: at least one keystore that the password opens. The quick ones are tried first.
func tryPassword(ctx context.Context, entries []keyfolder.Entry, password string) diag.Diagnostics {
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b keyfolder.Entry) int { return byPace(a.Keystore, b.Keystore) })
	for _, e := range entries {
		if ctx.Err() != nil {
			return nil // nobody waits for the answer
		}
		secret, err := e.Keystore.Open([]byte(password))
		switch {
		case errors.Is(err, signer.ErrWrongPassword):
			continue
		case err != nil:
			return diag.Diagnostics{diag.Errorf([]string{"keystore"}, "restore the file from its backup", "%s: %s", e.Path, err)}
		}
		secret.Destroy()
		return nil
	}
	summary := "the password does not open " + filepath.Base(entries[0].Path)
	if len(entries) > 1 {
		summary += fmt.Sprintf(", nor any other of %d keystores", len(entries))
	}
	return diag.Diagnostics{diag.Errorf([]string{"password"},
		"check the password file; a keystore sealed under another password goes into another plugin's folder", "%s", summary)}
}

// finding makes a diagnostic of a fault of the keystore folder. A removed key's file is left alone with a warning.
func finding(err error) diag.Diagnostic {
	d := diag.Errorf([]string{"keystore"}, "", "%s", err)
	if f, ok := errors.AsType[*keyfolder.FileError](err); ok {
		d.Detail = f.Hint
	}
	if errors.Is(err, keyfolder.ErrRemoved) {
		d.Severity = diag.Warning
	}
	return d
}

// Resources implements lifecycle.PluginWithResources: the instance's folder, which holds its guard.
// A probe is asked too: it is told the folder and opens nothing there.
func (*Signer) Resources(_ context.Context, c lifecycle.Config) ([]lifecycle.Resource, error) {
	if c.Host.DataDir == "" {
		return nil, nil
	}
	return []lifecycle.Resource{{Kind: "path", Value: guardDir(c.Host)}}, nil
}

func guardDir(h lifecycle.Host) string { return filepath.Join(h.DataDir, "guard") }

// load decodes the block and opens the keystore folder, made when it is missing, for Configure: any fault that is an error stops the plugin.
func load(c lifecycle.Config) (settings, *keyfolder.Dir, []keyfolder.Entry, error) {
	var s settings
	if err := c.Decode(&s); err != nil {
		return s, nil, nil, err
	}
	if err := s.check().Err(); err != nil {
		return s, nil, nil, err
	}
	if c.Host.DataDir == "" || c.Host.Genesis.IsZero() {
		return s, nil, nil, errors.New("the host told no data folder or no genesis hash")
	}
	if err := keyfolder.MakeDir(s.Keystore); err != nil {
		return s, nil, nil, fmt.Errorf("%s", finding(err))
	}
	dir, err := keyfolder.OpenDir(s.Keystore)
	if err != nil {
		return s, nil, nil, fmt.Errorf("%s", finding(err))
	}
	entries, faults := dir.List()
	for _, f := range faults {
		if d := finding(f); d.Severity == diag.Error {
			return s, nil, nil, fmt.Errorf("%s", d)
		}
	}
	return s, dir, entries, nil
}
