package executor

import (
	"net"
	"net/url"
	"strings"

	"github.com/alys-node/alys/plugins/internal/engineapi"
	"github.com/alys-node/alys/sdk/diag"
)

func (s settings) checkExternal() (ds diag.Diagnostics) {
	engine, problem := clientURL(s.Endpoint)
	if problem != "" {
		ds = append(ds, diag.Errorf([]string{"endpoint"}, `write the client's Engine API, like endpoint = "http://127.0.0.1:8551"`, "endpoint %s", problem))
	} else if !loopback(engine) {
		ds = append(ds, diag.Diagnostic{
			Severity: diag.Warning, Path: []string{"endpoint"}, Summary: "the Engine API goes over a network in clear",
			Detail: "run the client on this machine, or put a tunnel between the two",
		})
	}
	if s.RPC != "" {
		switch public, problem := clientURL(s.RPC); {
		case problem != "":
			ds = append(ds, diag.Errorf([]string{"rpc"}, `write the client's JSON-RPC, like rpc = "http://127.0.0.1:8545"`, "rpc %s", problem))
		case engine != nil && public.Host == engine.Host:
			ds = append(ds, diag.Errorf([]string{"rpc"}, "geth serves it with --http, on port 8545 by default",
				"rpc is the Engine API's own port: wallets cannot speak to it"))
		}
	}
	if s.Secret == "" {
		return append(ds, diag.Errorf([]string{"jwt_secret"}, "write the path of the file that the client was started with (geth: --authrpc.jwtsecret)",
			"jwt_secret is missing"))
	}
	if _, err := engineapi.ReadSecret(s.Secret); err != nil {
		ds = append(ds, diag.Errorf([]string{"jwt_secret"}, "give the file that the client was started with (geth: --authrpc.jwtsecret)", "%s", err))
	}
	return ds
}

// clientURL reads http://HOST:PORT; problem says what it is instead.
func clientURL(text string) (u *url.URL, problem string) {
	if text == "" {
		return nil, "is missing"
	}
	u, err := url.Parse(text)
	switch {
	case err != nil: // its text repeats the URL, which may hold a password
		return nil, "is no URL"
	case u.User != nil:
		return nil, "holds a user name or a password, which are not used"
	case u.Scheme != "http":
		return nil, "must begin with http://"
	case u.Hostname() == "" || u.Port() == "":
		return nil, "must name a host and a port"
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, "must end after the port"
	}
	return u, ""
}

func trimmed(text string) string { return strings.TrimRight(text, "/") }

func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
