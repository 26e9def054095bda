// Package schema lets a plugin say what its `config` block in alys.hcl may hold.
//
// The host evaluates and type-checks the block with the schema before the plugin sees a value, so variables, functions
// and secrets work in a plugin of any language. The value is handed over as JSON: attributes by name, a single nested
// block as an object (null when absent), a repeated one as an array of objects.
package schema

// Type is an attribute's type.
type Type string

// The attribute types.
const (
	String     Type = "string"
	Number     Type = "number"
	Bool       Type = "bool"
	StringList Type = "list(string)"
	StringMap  Type = "map(string)"
	Duration   Type = "duration" // written "60s"; handed over as integer milliseconds
	Size       Type = "size"     // written "64MiB"; handed over as integer bytes
	Path       Type = "path"     // a string; made absolute against the folder of the file that holds it
)

// Attribute is one argument.
type Attribute struct {
	Name      string
	Type      Type
	Required  bool
	Default   string // HCL expression text, used when the argument is absent; empty means null
	Sensitive bool   // never shown in plans, logs and errors; journalled as a reference
	Doc       string // one sentence, used in reference pages and hints
}

// Block is a block with arguments and nested blocks. A plugin's schema is the block `config` itself.
type Block struct {
	Name       string // empty for the top
	Repeated   bool   // any number of blocks of this name, else at most one
	Required   bool   // at least one must be present
	Doc        string
	Attributes []Attribute
	Blocks     []Block
}
