package geth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/filters"
	"github.com/ethereum/go-ethereum/eth/tracers"
	_ "github.com/ethereum/go-ethereum/eth/tracers/native" // callTracer, prestateTracer and their like, by name
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/internal/execution"
)

// Limits of the wallet RPC. Origins, hosts and the number of clients are the business of the host's proxy.
const (
	maxSocketPath    = 107 // bytes, of the kernel's sockaddr_un
	maxBatchItems    = 1000
	maxBatchResponse = 25 << 20
	maxRequestBody   = 5 << 20
	maxMessage       = 16 << 20
	shutdownGrace    = 2 * time.Second
)

// wallet serves Ethereum JSON-RPC over HTTP and WebSocket on a unix socket.
type wallet struct {
	rpc  *rpc.Server
	http *http.Server
	done sync.WaitGroup
	once sync.Once
	err  error // guarded by once
}

func serveWallet(b *eth.Ethereum, path string, log hclog.Logger) (*wallet, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("wallet socket path has %d bytes, the system allows %d: %s", len(path), maxSocketPath, path)
	}
	s, err := walletServer(b)
	if err != nil {
		return nil, err
	}
	// A socket file without a listener is what a killed process leaves behind.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove old wallet socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for wallets: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect wallet socket: %w", err), l.Close())
	}
	w := &wallet{rpc: s, http: &http.Server{Handler: walletHandler(s), ReadHeaderTimeout: 10 * time.Second}}
	w.done.Go(func() {
		if err := w.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("wallet RPC ended", "error", err)
		}
	})
	return w, nil
}

// walletHandler answers WebSocket upgrades and plain posts on every path. Origins were checked by the host's proxy.
func walletHandler(s *rpc.Server) http.Handler {
	ws := s.WebsocketHandler([]string{"*"})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			ws.ServeHTTP(w, r)
			return
		}
		s.ServeHTTP(w, r)
	})
}

// close ends the listener, gives running requests a moment and cuts the rest.
func (w *wallet) close() error {
	w.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
		defer cancel()
		w.rpc.Stop()
		if err := w.http.Shutdown(ctx); err != nil {
			w.err = errors.Join(fmt.Errorf("end wallet RPC: %w", err), w.http.Close())
		}
		w.done.Wait()
	})
	return w.err
}

// walletServer registers what wallets may call. geth's own namespaces engine, admin, miner and personal are left out,
// and of debug all that moves the head, compacts the database or touches files.
func walletServer(b *eth.Ethereum) (*rpc.Server, error) {
	s := rpc.NewServer()
	s.SetBatchLimits(maxBatchItems, maxBatchResponse)
	s.SetHTTPBodyLimit(maxRequestBody)
	s.SetWebsocketReadLimit(maxMessage)
	for _, a := range walletAPIs(b) {
		if err := s.RegisterName(a.Namespace, a.Service); err != nil {
			return nil, fmt.Errorf("register wallet API %s: %w", a.Namespace, err)
		}
	}
	return s, nil
}

// walletAPIs lists the services; of two methods with one name the later wins.
func walletAPIs(b *eth.Ethereum) []rpc.API {
	var out, last []rpc.API
	for _, a := range b.APIs() {
		switch a.Namespace {
		case "eth", "net", "txpool":
			out = append(out, a)
			if s, ok := a.Service.(sender); ok {
				last = append(last, rpc.API{Namespace: "eth", Service: &blobless{next: s}})
			}
		case "debug":
			if r, ok := a.Service.(rawReader); ok {
				out = append(out, rpc.API{Namespace: "debug", Service: struct{ rawReader }{r}})
			}
		}
	}
	system := filters.NewFilterSystem(b.APIBackend, filters.Config{LogCacheSize: 32})
	return append(append(out, last...),
		rpc.API{Namespace: "eth", Service: filters.NewFilterAPI(system)},
		rpc.API{Namespace: "debug", Service: &tracer{API: tracers.NewAPI(b.APIBackend)}},
		rpc.API{Namespace: "web3", Service: web3{}},
	)
}

// sender is the part of geth's transaction service that blobless stands in front of.
type sender interface {
	SendRawTransaction(ctx context.Context, input hexutil.Bytes) (common.Hash, error)
	SendRawTransactionSync(ctx context.Context, input hexutil.Bytes, timeoutMs *uint64) (map[string]any, error)
}

// blobless refuses type-3 transactions in words and passes the others on.
type blobless struct{ next sender }

// SendRawTransaction is eth_sendRawTransaction.
func (b *blobless) SendRawTransaction(ctx context.Context, input hexutil.Bytes) (common.Hash, error) {
	if len(input) > 0 && input[0] == types.BlobTxType {
		return common.Hash{}, execution.ErrBlob
	}
	return b.next.SendRawTransaction(ctx, input)
}

// SendRawTransactionSync is eth_sendRawTransactionSync (EIP-7966).
func (b *blobless) SendRawTransactionSync(ctx context.Context, input hexutil.Bytes, timeoutMs *uint64) (map[string]any, error) {
	if len(input) > 0 && input[0] == types.BlobTxType {
		return nil, execution.ErrBlob
	}
	return b.next.SendRawTransactionSync(ctx, input, timeoutMs)
}

// rawReader is the part of geth's debug service that only reads.
type rawReader interface {
	GetRawHeader(ctx context.Context, block rpc.BlockNumberOrHash) (hexutil.Bytes, error)
	GetRawBlock(ctx context.Context, block rpc.BlockNumberOrHash) (hexutil.Bytes, error)
	GetRawReceipts(ctx context.Context, block rpc.BlockNumberOrHash) ([]hexutil.Bytes, error)
	GetRawTransaction(ctx context.Context, hash common.Hash) (hexutil.Bytes, error)
}

// tracer is geth's tracing service without the methods of files: a method that two embedded types have at the same depth
// is in no method set, so the RPC server does not see it.
type tracer struct {
	*tracers.API
	files //nolint:unused // it is there for its names
}

// files names the tracing methods that read or write files, and the one that runs over a whole chain.
type files interface { //nolint:unused // see tracer
	TraceBlockFromFile()
	StandardTraceBlockToFile()
	StandardTraceBadBlockToFile()
	TraceChain()
}

// web3 is the namespace of that name.
type web3 struct{}

// ClientVersion is web3_clientVersion.
func (web3) ClientVersion() string { return clientVersion() }

// Sha3 is web3_sha3, which is Keccak-256.
func (web3) Sha3(input hexutil.Bytes) hexutil.Bytes { return crypto.Keccak256(input) }
