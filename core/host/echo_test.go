package host_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/alys-node/alys/core/host"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/wire/signerv1"
)

var (
	hostCalls  = flag.Int("host.calls", 200, "calls of each kind that are compared")
	hostStarts = flag.Int("host.starts", 3, "starts of a plugin that are timed")
)

// way is one way to make a call.
type way struct {
	name string
	call func() error
	took []time.Duration
}

// TestCallAgainstEcho prints what a call of a contract costs beside an echo of the same size between the same two
// processes over the same kind of connection, beside one without TLS, and beside a call in this process. One call of
// each follows the other, so that all see the same machine. The times are for people; the test wants every call answered.
func TestCallAgainstEcho(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	b := open(t, func(c *host.Config) { c.Observer = nil })
	dir, err := os.MkdirTemp("", "alyse") //nolint:usetesting // t.TempDir is too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	block, secure, plain := echoBlock(t, dir)
	g := b.mustLaunch(block)

	a := signer.Approval{Key: signer.BLSKey(chain.BLSPublicKey{1}), Header: chain.Header{Version: chain.HeaderVersion, BodyRoot: chain.Hash{1, 2, 3}}}
	size := proto.Size(&signerv1.ApproveRequest{Key: string(a.Key), Header: a.Header.Encode()})
	payload := wrapperspb.Bytes(bytes.Repeat([]byte{7}, size))
	echo := func(c *grpc.ClientConn) func() error {
		return func() error {
			var out wrapperspb.BytesValue
			if err := c.Invoke(t.Context(), "/bench.Echo/Echo", payload, &out); err != nil || len(out.GetValue()) != size {
				return fmt.Errorf("echo of %d bytes: %w", len(out.GetValue()), err)
			}
			return nil
		}
	}
	s := g.Client().Signer()
	ways := []*way{
		{name: "contract call through the host", call: func() error { return approve(t.Context(), s, a) }},
		{name: "echo, same processes, same TLS", call: echo(secure)},
		{name: "echo, unix socket without TLS", call: echo(plain)},
		{name: "call in this process", call: func() error { return approve(t.Context(), here{}, a) }},
	}
	for i := range *hostCalls + *hostCalls/10 {
		for _, w := range ways {
			at := time.Now()
			if err := w.call(); err != nil {
				t.Fatalf("%s: %v", w.name, err)
			}
			if i >= *hostCalls/10 { // the first tenth warms up
				w.took = append(w.took, time.Since(at))
			}
		}
	}
	t.Logf("%d calls of %d bytes each, one of each after the other:", *hostCalls, size)
	for _, w := range ways {
		slices.Sort(w.took)
	}
	for _, w := range ways {
		t.Logf("  %-32s p50 %8s  p99 %8s  p50 %.2f x echo", w.name, at(w.took, 50), at(w.took, 99), float64(at(w.took, 50))/float64(at(ways[1].took, 50)))
	}
	t.Logf("  promise: the contract call at most 1.3 x echo")
	logStarts(t, b, block, g)
}

// logStarts prints from exec to ready and what a plugin takes of memory. Each start ends the one before, which holds the sockets.
func logStarts(t *testing.T, b *bench, block host.Block, g *host.Generation) {
	t.Helper()
	memory := g.Stats().RSS
	digest := b.stage(block)
	var took []time.Duration
	for range *hostStarts {
		g.Stop(t.Context())
		begun := time.Now()
		var err error
		if g, err = b.Launch(t.Context(), block, digest); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	t.Logf("  exec to ready: p50 %s, worst %s of %d; the plugin has %d MB", at(took, 50), at(took, 100), len(took), memory>>20)
}

// at is a percentile of sorted times.
func at(sorted []time.Duration, percent int) time.Duration {
	return sorted[(len(sorted)-1)*percent/100].Round(100 * time.Nanosecond)
}

type approver interface {
	Approve(context.Context, signer.Approval) (chain.BLSSignature, error)
}

func approve(ctx context.Context, s approver, a signer.Approval) error {
	sig, err := s.Approve(ctx, a)
	if err == nil && sig[1] != 2 {
		err = fmt.Errorf("answered %x", sig)
	}
	return err
}

// here is the plugin's Approve without a process.
type here struct{}

func (here) Approve(_ context.Context, a signer.Approval) (sig chain.BLSSignature, err error) {
	copy(sig[:], a.Header.BodyRoot[:])
	return sig, nil
}

// echoBlock builds the echo plugin into dir, and connects to its sockets, which it opens when it is launched.
func echoBlock(t *testing.T, dir string) (block host.Block, secure, plain *grpc.ClientConn) {
	t.Helper()
	command := filepath.Join(dir, "echo")
	if out, err := exec.Command("go", "build", "-o", command, "./testdata/echoplugin").CombinedOutput(); err != nil {
		t.Fatalf("build echo plugin: %v\n%s", err, out)
	}
	cert, key := selfSigned(t)
	config := map[string]string{"secure": command + ".s", "plain": command + ".p", "certificate": cert, "key": key}
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM([]byte(cert))
	creds := credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, RootCAs: trusted, ServerName: "localhost", MinVersion: tls.VersionTLS12,
	})
	dial := func(socket string, creds credentials.TransportCredentials) *grpc.ClientConn {
		c, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(creds))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	block = host.Block{Kind: lifecycle.Signer, Label: "echo", Command: command, ConfigJSON: raw}
	return block, dial(config["secure"], creds), dial(config["plain"], insecure.NewCredentials())
}

// selfSigned is a certificate as go-plugin makes one for each start: the key's curve is the same.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, b []byte) string {
		return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})))
	}
	return encode("CERTIFICATE", der), encode("EC PRIVATE KEY", raw)
}
