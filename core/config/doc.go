// Package config turns alys.hcl into a Config, or into diagnostics that name every problem at once.
//
// The language is HCL v2: blocks with arguments, variables, locals and a small set of functions. Load reads the file (or
// every *.hcl file of a directory), checks it as a whole and returns either a Config or errors, each with a stable code,
// a position, the offending line and what to do about it. Reasons lists the codes.
//
// A plugin's own `config` block is kept as it was parsed until the plugin has told its schema; DecodePlugin then
// evaluates and type-checks it, and PluginDiagnostics maps what the plugin itself finds back to the line.
//
// A Config is pure: after Load nothing here reads a file or the environment. ResolveSecrets is the one exception, and
// says so. The environment is only seen through Options.Env.
//
// Secrets. A value of a variable with `sensitive = true`, or one made by sensitive(), is marked; whatever is derived
// from it carries the mark. So is the value of an argument that a schema calls sensitive. Such a value is handed to the
// plugin and to nobody else: Redacted forms hold a placeholder, diagnostics cover it, and the hash of the configuration
// takes it through a slow derivation.
package config
