package config

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// The parser and the evaluator recurse, so their depth is bounded before either sees the text: brackets may be nested so
// deep, and one expression may hold so many operators, signs, indexes and template directives.
const (
	maxNesting   = 64
	maxOperators = 512
)

// checkNesting scans the tokens, which needs no recursion, and refuses what would nest too deeply.
func checkNesting(name string, src []byte) *hcl.Diagnostic {
	tokens, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos)
	var n nesting
	for _, t := range tokens {
		n.take(t.Type)
		switch {
		case len(n.open) > maxNesting:
			return problem(CodeTooDeep, t.Range, "Nested too deeply",
				fmt.Sprintf("At most %d brackets may be open at once. Split the expression with locals.", maxNesting))
		case n.operators > maxOperators:
			return problem(CodeTooDeep, t.Range, "The expression is too long",
				fmt.Sprintf("An expression may hold at most %d operators and brackets. Split it with locals.", maxOperators))
		}
	}
	return nil
}

type nesting struct {
	open      []hclsyntax.TokenType
	operators int // since the expression began
}

func (n *nesting) take(t hclsyntax.TokenType) {
	switch t {
	case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp,
		hclsyntax.TokenTemplateControl, hclsyntax.TokenOHeredoc, hclsyntax.TokenOQuote:
		n.open = append(n.open, t)
		n.operators++
	case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd,
		hclsyntax.TokenCHeredoc, hclsyntax.TokenCQuote:
		n.open = n.open[:max(0, len(n.open)-1)]
	case hclsyntax.TokenComma:
		n.operators = 0
	case hclsyntax.TokenNewline:
		// Inside parentheses and brackets a line's end means nothing.
		if len(n.open) == 0 || n.open[len(n.open)-1] == hclsyntax.TokenOBrace {
			n.operators = 0
		}
	default:
		if isOperator(t) {
			n.operators++
		}
	}
}

func isOperator(t hclsyntax.TokenType) bool {
	return slices.Contains([]hclsyntax.TokenType{
		hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPlus, hclsyntax.TokenMinus, hclsyntax.TokenPercent,
		hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq,
		hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq, hclsyntax.TokenAnd, hclsyntax.TokenOr,
		hclsyntax.TokenBang, hclsyntax.TokenQuestion, hclsyntax.TokenColon,
	}, t)
}
