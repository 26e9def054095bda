package config

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// structure reports arguments and blocks that do not belong in a body, and required arguments that are not there.
func structure(body *hclsyntax.Body, b block) hcl.Diagnostics {
	var found hcl.Diagnostics
	var fields, blocks []string
	for _, f := range b.fields {
		fields = append(fields, f.Name)
		if _, ok := body.Attributes[f.Name]; !ok && f.Required {
			found = append(found, problem(CodeMissingArgument, body.MissingItemRange(), fmt.Sprintf("The argument %q is missing", f.Name),
				titled(b)+" needs it."+sentence(f.Doc)))
		}
	}
	for _, nested := range b.blocks {
		blocks = append(blocks, nested.name)
	}
	for _, name := range sortedNames(body.Attributes) {
		if !slices.Contains(fields, name) {
			found = append(found, problem(CodeUnknownKey, body.Attributes[name].NameRange, fmt.Sprintf("Unknown argument %q", name),
				titled(b)+" has no such argument."+otherHint(name, fields, blocks, " It is a block: write %s { … }.")))
		}
	}
	for _, child := range body.Blocks {
		if !slices.Contains(blocks, child.Type) {
			found = append(found, problem(CodeUnknownBlock, child.TypeRange, fmt.Sprintf("Unknown block %q", child.Type),
				titled(b)+" has no such block."+otherHint(child.Type, blocks, fields, " It is an argument: write %s = ….")))
		}
	}
	for _, nested := range b.blocks {
		for _, child := range childrenOf(body, nested.name) {
			found = append(found, structure(child.Body, nested)...)
		}
	}
	return found
}

func titled(b block) string {
	if b.name == "" {
		return "The plugin's config block"
	}
	return "The block " + b.name
}

func sentence(doc string) string {
	if doc == "" {
		return ""
	}
	return " " + doc
}

// otherHint proposes the nearest of the right names, or the other way to write the same name.
func otherHint(name string, same, other []string, text string) string {
	if slices.Contains(other, name) {
		return fmt.Sprintf(text, name)
	}
	return didYouMean(name, same)
}
