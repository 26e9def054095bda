package wire_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/syncer"
	"github.com/alys-node/alys/sdk/wire"
)

// promised is every sentinel of the contracts, by package and name.
func promised() map[string]error {
	return map[string]error{
		"lifecycle.ErrNotConfigured": lifecycle.ErrNotConfigured,
		"lifecycle.ErrConfigured":    lifecycle.ErrConfigured,
		"lifecycle.ErrDraining":      lifecycle.ErrDraining,
		"lifecycle.ErrUnsupported":   lifecycle.ErrUnsupported,

		"signer.ErrRefused":       signer.ErrRefused,
		"signer.ErrUnknownKey":    signer.ErrUnknownKey,
		"signer.ErrLocked":        signer.ErrLocked,
		"signer.ErrUnavailable":   signer.ErrUnavailable,
		"signer.ErrWrongPassword": signer.ErrWrongPassword,

		"engine.ErrSyncing":         engine.ErrSyncing,
		"engine.ErrUnsupportedFork": engine.ErrUnsupportedFork,
		"engine.ErrUnknownBlock":    engine.ErrUnknownBlock,
		"engine.ErrDidNotMove":      engine.ErrDidNotMove,
		"engine.ErrUnavailable":     engine.ErrUnavailable,

		"syncer.ErrStaleEpoch": syncer.ErrStaleEpoch,
		"syncer.ErrNoCredit":   syncer.ErrNoCredit,
		"syncer.ErrBadOrder":   syncer.ErrBadOrder,
	}
}

// TestEverySentinelIsPromised fails for a sentinel of a contract that the table above does not have yet.
func TestEverySentinelIsPromised(t *testing.T) {
	var got []string
	for _, pkg := range []string{"lifecycle", "signer", "engine", "syncer"} {
		files := token.NewFileSet()
		parsed, err := parser.ParseDir(files, filepath.Join("..", pkg), func(f fs.FileInfo) bool { //nolint:staticcheck // no build tags there
			return !strings.HasSuffix(f.Name(), "_test.go")
		}, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parsed {
			for _, f := range p.Files {
				got = append(got, sentinelsOf(pkg, f)...)
			}
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(promised())), got); diff != "" {
		t.Errorf("sentinels of the contracts (-table +source):\n%s", diff)
	}
}

func sentinelsOf(pkg string, f *ast.File) []string {
	var out []string
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, s := range g.Specs {
			for _, name := range s.(*ast.ValueSpec).Names {
				if strings.HasPrefix(name.Name, "Err") {
					out = append(out, pkg+"."+name.Name)
				}
			}
		}
	}
	return out
}

// overTheWire is err as a host sees it when a plugin returned it.
func overTheWire(err error) error {
	_, got := client(failing(wire.EncodeError(err)), lifecycle.Signer).Signer().Keys(context.Background())
	return got
}

func TestSentinelsKeepTheirIdentity(t *testing.T) {
	all := promised()
	all["context.Canceled"], all["context.DeadlineExceeded"] = context.Canceled, context.DeadlineExceeded
	for name, sentinel := range all {
		t.Run(name, func(t *testing.T) {
			once := overTheWire(fmt.Errorf("deep down: %w", sentinel))
			twice := overTheWire(fmt.Errorf("a plugin that calls a plugin: %w", once))
			for hop, got := range []error{once, twice} {
				for other, err := range all {
					if is, want := errors.Is(got, err), other == name; is != want {
						t.Errorf("hop %d: errors.Is(%v, %s) = %v", hop+1, got, other, is)
					}
				}
				if !strings.Contains(got.Error(), "deep down") {
					t.Errorf("hop %d lost the text: %v", hop+1, got)
				}
			}
		})
	}
}

func TestAnErrorOfTwoSentinelsIsBoth(t *testing.T) {
	got := overTheWire(fmt.Errorf("%w: %w", signer.ErrUnavailable, context.DeadlineExceeded))
	if !errors.Is(got, signer.ErrUnavailable) || !errors.Is(got, context.DeadlineExceeded) {
		t.Errorf("got %v", got)
	}
}

func TestAnErrorThatIsNoSentinelIsInternal(t *testing.T) {
	remote := status.Error(codes.PermissionDenied, "the plugin's own cloud said no")
	for name, err := range map[string]error{
		"plain":                             errors.New("disk on fire"),
		"a status of another service":       remote,
		"a wrapped status":                  fmt.Errorf("ask the cloud: %w", remote),
		"a text that is not UTF-8 and long": errors.New(strings.Repeat("\xff", 10_000)),
	} {
		t.Run(name, func(t *testing.T) {
			got := overTheWire(err)
			var call *wire.CallError
			if !errors.As(got, &call) || call.Code != codes.Internal || errors.Is(got, signer.ErrRefused) {
				t.Errorf("got %v", got)
			}
			if len(got.Error()) > 16_000 {
				t.Errorf("the text has %d bytes", len(got.Error()))
			}
		})
	}
}

// TestBareStatus is a plugin whose author knows status codes and nothing of google.rpc.ErrorInfo.
func TestBareStatus(t *testing.T) {
	for _, test := range []struct {
		kind lifecycle.Kind
		code codes.Code
		want error // nil: no sentinel at all
	}{
		{lifecycle.Signer, codes.PermissionDenied, signer.ErrRefused},
		{lifecycle.Signer, codes.NotFound, signer.ErrUnknownKey},
		{lifecycle.Signer, codes.FailedPrecondition, signer.ErrLocked},
		{lifecycle.Signer, codes.Unauthenticated, signer.ErrWrongPassword},
		{lifecycle.Signer, codes.Unavailable, signer.ErrUnavailable},
		{lifecycle.Signer, codes.Unimplemented, lifecycle.ErrUnsupported},
		{lifecycle.Signer, codes.DeadlineExceeded, context.DeadlineExceeded},
		{lifecycle.Signer, codes.Canceled, context.Canceled},
		{lifecycle.Signer, codes.Aborted, nil},
		{lifecycle.Signer, codes.Internal, nil},
		{lifecycle.Signer, codes.ResourceExhausted, nil},
		{lifecycle.Engine, codes.FailedPrecondition, engine.ErrSyncing},
		{lifecycle.Engine, codes.OutOfRange, engine.ErrUnsupportedFork},
		{lifecycle.Engine, codes.NotFound, engine.ErrUnknownBlock},
		{lifecycle.Engine, codes.Aborted, engine.ErrDidNotMove},
		{lifecycle.Engine, codes.Unavailable, engine.ErrUnavailable},
		{lifecycle.Engine, codes.PermissionDenied, nil},
		{lifecycle.Sync, codes.Unimplemented, lifecycle.ErrUnsupported},
		{lifecycle.Sync, codes.Unavailable, nil},
		{lifecycle.Sync, codes.NotFound, nil},
	} {
		t.Run(fmt.Sprintf("%s %s", test.kind, test.code), func(t *testing.T) {
			c := client(failing(status.Error(test.code, "in the author's words")), test.kind)
			_, got := c.Plugin().Health(t.Context())
			var call *wire.CallError
			if !errors.As(got, &call) || call.Code != test.code || call.Message != "in the author's words" {
				t.Fatalf("got %#v", got)
			}
			for name, err := range promised() {
				if is, want := errors.Is(got, err), test.want != nil && errors.Is(test.want, err); is != want {
					t.Errorf("errors.Is(%v, %s) = %v", got, name, is)
				}
			}
			if test.want != nil && !errors.Is(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestAReasonThatThisHostDoesNotKnowFallsBackToTheCode(t *testing.T) {
	for name, info := range map[string]*errdetails.ErrorInfo{
		"a newer reason":         {Domain: wire.ErrorDomain, Reason: "SIGNER_REFUSED_POLITELY"},
		"a reason of others":     {Domain: "cloud.example", Reason: "SIGNER_LOCKED"},
		"a reason of our domain": {Domain: wire.ErrorDomain, Reason: "SIGNER_REFUSED"},
	} {
		st, err := status.New(codes.PermissionDenied, "no").WithDetails(info)
		if err != nil {
			t.Fatal(err)
		}
		_, got := client(failing(st.Err()), lifecycle.Signer).Signer().Keys(t.Context())
		if !errors.Is(got, signer.ErrRefused) || errors.Is(got, signer.ErrLocked) {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestNilStaysNil(t *testing.T) {
	if err := wire.EncodeError(nil); err != nil {
		t.Errorf("got %v", err)
	}
}
