// Echoplugin is a signer that does no work, and beside it an echo on two sockets of its own: over the TLS that the host
// and its plugins speak, and without. So the way of a call is measured against a bare one between the same two processes.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugin"
	"github.com/alys-node/alys/sdk/schema"
	"github.com/alys-node/alys/sdk/signer"
)

func main() { plugin.Serve(func(hclog.Logger) lifecycle.Plugin { return &echo{} }) }

type echo struct{ servers []*grpc.Server }

type config struct {
	Secure      string `json:"secure"` // sockets
	Plain       string `json:"plain"`
	Certificate string `json:"certificate"` // of both sides, PEM
	Key         string `json:"key"`
}

func (*echo) Describe() lifecycle.Description {
	return lifecycle.Description{Kind: lifecycle.Signer, Name: "echo", Version: "1.0.0", Deterministic: true}
}

func (*echo) Schema() schema.Block { return schema.Block{} }

func (*echo) Validate(context.Context, lifecycle.Config) diag.Diagnostics { return nil }

func (e *echo) Configure(_ context.Context, c lifecycle.Config) error {
	var v config
	if err := c.Decode(&v); err != nil {
		return err
	}
	cert, err := tls.X509KeyPair([]byte(v.Certificate), []byte(v.Key))
	if err != nil {
		return err
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM([]byte(v.Certificate))
	secure := credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted, MinVersion: tls.VersionTLS12,
	})
	return errors.Join(e.listen(v.Secure, grpc.Creds(secure)), e.listen(v.Plain))
}

func (e *echo) listen(socket string, opts ...grpc.ServerOption) error {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("listen for echoes: %w", err)
	}
	s := grpc.NewServer(opts...)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench.Echo", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Echo", Handler: answer}},
	}, e)
	e.servers = append(e.servers, s)
	go func() { _ = s.Serve(l) }() // ends with Stop
	return nil
}

func answer(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) { //nolint:revive // grpc's own order
	v := new(wrapperspb.BytesValue)
	return v, decode(v)
}

func (*echo) Health(context.Context) (lifecycle.Health, error) {
	return lifecycle.Health{State: lifecycle.Ready}, nil
}

func (e *echo) Drain(context.Context) error {
	for _, s := range e.servers {
		s.Stop()
	}
	return nil
}

func (*echo) Keys(context.Context) ([]signer.Key, error) { return nil, nil }

// Approve answers at once; the signature is none.
func (*echo) Approve(_ context.Context, a signer.Approval) (sig chain.BLSSignature, err error) {
	copy(sig[:], a.Header.BodyRoot[:])
	return sig, nil
}

func (*echo) SignBitcoin(context.Context, signer.BitcoinRequest) (signer.BitcoinAnswer, error) {
	return signer.BitcoinAnswer{}, signer.ErrRefused
}

func (*echo) Prove(context.Context, signer.Challenge) (signer.Proof, error) {
	return signer.Proof{}, signer.ErrRefused
}
