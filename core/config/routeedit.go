package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// ErrNoRoleBlock means that the text has no block for the role; it may be in another file of the folder.
var ErrNoRoleBlock = errors.New("no such role block")

// RouteEdit makes a role block say a route, by labels; "" leaves a place out.
type RouteEdit struct {
	Role     string  `json:"role"` // as in alys.hcl: signer, signer.approval, engine …
	Primary  string  `json:"primary"`
	Fallback string  `json:"fallback,omitempty"`
	Shadow   string  `json:"shadow,omitempty"`
	Canary   string  `json:"canary,omitempty"`
	Percent  float64 `json:"percent,omitempty"` // of the canary
}

// places lists the arguments in the order of the language.
func (e RouteEdit) places() [][2]string {
	return [][2]string{{"primary", e.Primary}, {"fallback", e.Fallback}, {"shadow", e.Shadow}}
}

// Text is the role block as it should be.
func (e RouteEdit) Text(kind string) string {
	labels := make([]string, 0, 2)
	for l := range strings.SplitSeq(e.Role, ".") {
		labels = append(labels, fmt.Sprintf("%q", l))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "role %s {\n", strings.Join(labels, " "))
	for _, p := range e.places() {
		if p[1] != "" {
			fmt.Fprintf(&b, "  %s = plugin.%s.%s\n", p[0], kind, p[1])
		}
	}
	if e.Canary != "" {
		fmt.Fprintf(&b, "  canary {\n    plugin = plugin.%s.%s\n    percent = %g\n  }\n", kind, e.Canary, e.Percent)
	}
	b.WriteString("}\n")
	out, _ := Format([]byte(b.String()))
	return string(out)
}

func pluginNamed(kind, label string) hcl.Traversal {
	return hcl.Traversal{hcl.TraverseRoot{Name: "plugin"}, hcl.TraverseAttr{Name: kind}, hcl.TraverseAttr{Name: label}}
}

// Apply edits a text and keeps everything else, comments too: ErrNoRoleBlock when the block is not in it.
func (e RouteEdit) Apply(src []byte) ([]byte, error) {
	f, diags := hclwrite.ParseConfig(src, "alys.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		return nil, fmt.Errorf("parse: %w", diags)
	}
	labels := strings.Split(e.Role, ".")
	b := f.Body().FirstMatchingBlock("role", labels)
	if b == nil {
		return nil, fmt.Errorf("role %s: %w", e.Role, ErrNoRoleBlock)
	}
	for _, p := range e.places() {
		if p[1] == "" {
			b.Body().RemoveAttribute(p[0])
			continue
		}
		want := pluginNamed(labels[0], p[1])
		if a := b.Body().GetAttribute(p[0]); a != nil && string(bytes.TrimSpace(a.Expr().BuildTokens(nil).Bytes())) == "plugin."+labels[0]+"."+p[1] {
			continue
		}
		b.Body().SetAttributeTraversal(p[0], want)
	}
	c := b.Body().FirstMatchingBlock("canary", nil)
	if e.Canary == "" && c != nil {
		b.Body().RemoveBlock(c)
	}
	if e.Canary != "" {
		if c == nil {
			c = b.Body().AppendNewBlock("canary", nil)
		}
		c.Body().SetAttributeTraversal("plugin", pluginNamed(labels[0], e.Canary))
		c.Body().SetAttributeValue("percent", cty.NumberFloatVal(e.Percent))
	}
	out, found := Format(f.Bytes())
	if found.HasErrors() {
		return nil, fmt.Errorf("edit role %s: %w", e.Role, found.Err())
	}
	return out, nil
}
