package config

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// hideSensitiveCalls covers what is written inside sensitive(…).
func (s *sources) hideSensitiveCalls(expr hclsyntax.Expression) {
	visit(expr, func(n hclsyntax.Node) {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok && call.Name == "sensitive" {
			for _, a := range call.Args {
				s.hideLiterals(a)
			}
		}
	})
}

func callsSensitive(expr hclsyntax.Expression) bool {
	found := false
	visit(expr, func(n hclsyntax.Node) {
		call, ok := n.(*hclsyntax.FunctionCallExpr)
		found = found || ok && call.Name == "sensitive"
	})
	return found
}

// hideLiterals covers an expression that is a secret by itself, and remembers the texts written in it. References, and
// what file() and env() are asked for, are not secret.
func (s *sources) hideLiterals(expr hclsyntax.Expression) {
	literals := literalsOf(expr)
	if len(literals) == 0 {
		return
	}
	s.hide(expr.Range())
	for _, v := range literals {
		s.learn(v)
	}
}

// literalsOf lists the texts and numbers that are written in an expression, except those inside file() and env(), keys
// of indexes, and empty ones.
func literalsOf(expr hclsyntax.Expression) []cty.Value {
	var out []cty.Value
	skip := []hcl.Range{}
	visit(expr, func(n hclsyntax.Node) {
		switch n := n.(type) {
		case *hclsyntax.FunctionCallExpr:
			if n.Name == "file" || n.Name == "env" && len(n.Args) == 1 {
				skip = append(skip, n.Range())
			}
		case *hclsyntax.IndexExpr:
			skip = append(skip, n.Key.Range())
		case *hclsyntax.ObjectConsKeyExpr:
			skip = append(skip, n.Range())
		case *hclsyntax.LiteralValueExpr:
			if !inside(n.Range(), skip) && isSecretLiteral(n.Val) {
				out = append(out, n.Val)
			}
		}
	})
	return out
}

func isSecretLiteral(v cty.Value) bool {
	if v.IsNull() || !v.IsKnown() || v.Type() == cty.Bool {
		return false
	}
	return v.Type() != cty.String || v.AsString() != ""
}

func inside(r hcl.Range, outer []hcl.Range) bool {
	for _, o := range outer {
		if o.Start.Byte <= r.Start.Byte && r.End.Byte <= o.End.Byte {
			return true
		}
	}
	return false
}

// visit calls f for every node of an expression, outer ones first.
func visit(expr hclsyntax.Expression, f func(hclsyntax.Node)) {
	_ = hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		f(n)
		return nil
	})
}
