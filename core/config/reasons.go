package config

import "slices"

// Code names a kind of finding. It never changes its meaning, so that a script may match it and a page may explain it.
type Code string

// The codes.
const (
	CodeSyntax           Code = "syntax"
	CodeEncoding         Code = "encoding"
	CodeTooLarge         Code = "too_large"
	CodeTooDeep          Code = "too_deep"
	CodeUnreadable       Code = "unreadable"
	CodeNoFiles          Code = "no_files"
	CodeEmpty            Code = "empty"
	CodeUnknownKey       Code = "unknown_key"
	CodeUnknownBlock     Code = "unknown_block"
	CodeMissingArgument  Code = "missing_argument"
	CodeMissingBlock     Code = "missing_block"
	CodeDuplicateBlock   Code = "duplicate_block"
	CodeDuplicateKey     Code = "duplicate_key"
	CodeLabels           Code = "labels"
	CodeInvalidName      Code = "invalid_name"
	CodeUnknownKind      Code = "unknown_kind"
	CodeWrongType        Code = "wrong_type"
	CodeInvalidValue     Code = "invalid_value"
	CodeUnknownReference Code = "unknown_reference"
	CodeUnknownFunction  Code = "unknown_function"
	CodeUnknownPlugin    Code = "unknown_plugin"
	CodeWrongKind        Code = "wrong_kind"
	CodeMissingRole      Code = "missing_role"
	CodeOverlappingRoles Code = "overlapping_roles"
	CodeSamePlugin       Code = "same_plugin"
	CodeCanaryConflict   Code = "canary_conflict"
	CodeUncoveredPurpose Code = "uncovered_purpose"
	CodeLocalsCycle      Code = "locals_cycle"
	CodeMissingVariable  Code = "missing_variable"
	CodeUnknownVariable  Code = "unknown_variable"
	CodeValidation       Code = "validation"
	CodeMissingFile      Code = "missing_file"
	CodeEnvUnset         Code = "env_unset"
	CodeFunction         Code = "function"
	CodeExpression       Code = "expression"
	CodePortConflict     Code = "port_conflict"
	CodeMissingChecksum  Code = "missing_checksum"
	CodeLiteralSecret    Code = "literal_secret"
	CodeUnknownSpec      Code = "unknown_spec"
	CodeSocketPath       Code = "socket_path"
	CodeExposed          Code = "exposed"
	CodeConflict         Code = "conflict"
	CodeFlagCondition    Code = "flag_condition"
	CodeMigration        Code = "migration"
	CodeMigrating        Code = "migrating"
	CodePluginSchema     Code = "plugin_schema"
	CodePluginConfig     Code = "plugin_config"
	CodeSecretChanged    Code = "secret_changed"
)

// Reason explains a code for the reasons page.
type Reason struct {
	Code    Code
	Meaning string
	Fix     string
}

// Reasons lists every code that a diagnostic of this package can have.
func Reasons() []Reason {
	return slices.Concat(fileReasons(), languageReasons(), expressionReasons(), nodeReasons())
}

func fileReasons() []Reason {
	return []Reason{
		{CodeSyntax, "The file is not HCL.", "Look at the marked text: most often a quote, brace or equals sign is missing."},
		{CodeEncoding, "The file is not UTF-8.", "Save it as UTF-8; the message names the first wrong byte."},
		{CodeTooLarge, "A file or value is larger than alys reads.", "Keep each file under 1 MiB; is it the right file?"},
		{CodeTooDeep, "Blocks, brackets or operators are nested too deeply.", "Split the expression with locals."},
		{CodeUnreadable, "A file or folder cannot be read.", "Check that it exists, that links do not form a loop, and that the node's user may read it."},
		{CodeNoFiles, "A folder was given that holds no *.hcl file.", "Name the file, or put one there."},
		{CodeEmpty, "The file holds nothing.", "Start from alys.hcl of the repository, or from `alys dev`."},
	}
}

func languageReasons() []Reason {
	return []Reason{
		{CodeUnknownKey, "A block holds an argument that it does not have.", "Correct the name; examples/full.hcl lists every one."},
		{CodeUnknownBlock, "There is no block of this name here.", "Correct the name; examples/full.hcl lists every one."},
		{CodeMissingArgument, "A required argument is absent.", "Add it to the block."},
		{CodeMissingBlock, "A required block is absent.", "Add it."},
		{CodeDuplicateBlock, "A block that may be there once is there twice.", "Join the two; the message names the first."},
		{CodeDuplicateKey, "An argument is set twice in one block.", "Remove one."},
		{CodeLabels, "A block has too few or too many labels.", "Write it as the message says."},
		{CodeInvalidName, "A name cannot be used.", "Use a lower-case letter, then letters, digits, \"-\" and \"_\", at most 32."},
		{CodeUnknownKind, "There is no such kind of plugin, or purpose of a key.", "Kinds are signer, engine and sync; purposes are approval and bitcoin."},
		{CodeWrongType, "A value has the wrong type.", "Write it as the message says; durations and sizes are strings."},
		{CodeInvalidValue, "A value has the right type and cannot be used.", "The message says what is allowed."},
	}
}

func expressionReasons() []Reason {
	return []Reason{
		{CodeUnknownReference, "An expression refers to something that does not exist.", "Declare it, or correct the name."},
		{CodeUnknownFunction, "There is no such function.", "Correct the name."},
		{CodeLocalsCycle, "Locals refer to each other in a circle.", "Break the circle that the message names."},
		{CodeMissingVariable, "A variable has neither value nor default.", "Give it by -var, -var-file or ALYS_VAR_name."},
		{CodeUnknownVariable, "A value was given for a variable that is not declared.", "Declare it, or correct the name."},
		{CodeValidation, "A variable's value fails its validation.", "The message is the configuration author's."},
		{CodeMissingFile, "A file that the configuration names does not exist.", "Paths are relative to the folder of the configuration."},
		{CodeEnvUnset, "env() names an environment variable that is not set.", "Set it, or write env(\"NAME\", \"default\")."},
		{CodeFunction, "A function was called with arguments that it cannot use.", "The message says which."},
		{CodeExpression, "An expression cannot be evaluated.", "The message says why."},
	}
}

func nodeReasons() []Reason {
	return []Reason{
		{CodeUnknownPlugin, "A route names a plugin that is not declared.", "Add the plugin block, or correct the name."},
		{CodeWrongKind, "A role names a plugin of another kind.", "Use a plugin of the role's kind."},
		{CodeMissingRole, "A role that the node cannot do without is absent.", "Add the role block."},
		{CodeOverlappingRoles, "A signer role is there both narrowed and not.", "Keep role \"signer\", or one role for each purpose."},
		{CodeSamePlugin, "One plugin is in two places of a route that exclude each other.", "Use another plugin, or leave the place out."},
		{CodeCanaryConflict, "A route has a canary and a shadow.", "A canary is compared anyway: remove the shadow."},
		{CodeUncoveredPurpose, "No role serves one purpose of the signer's keys.", "Add role \"signer\" for the other purpose."},
		{CodePortConflict, "Two listeners share an address.", "Give one another port."},
		{CodeMissingChecksum, "A plugin has no checksum outside the dev chain.", "Run `alys plugin pin`."},
		{CodeLiteralSecret, "A secret is written in the file.", "Keep it in a file or the environment: file(\"…\"), env(\"…\") or a sensitive variable."},
		{CodeUnknownSpec, "There is no such chain.", "Use a built-in name, or the path of a chain spec."},
		{CodeSocketPath, "The path of a unix socket is too long for the system.", "Set node.admin_socket to a shorter one."},
		{CodeExposed, "An interface is open to the network without protection.", "Listen on 127.0.0.1, or set a token and tls."},
		{CodeConflict, "Two arguments exclude each other, or need each other.", "The message says which."},
		{CodeFlagCondition, "A flag with conditions stands in a role's expression.", "Conditions change by themselves and a route does not: use a migration."},
		{CodeMigration, "A migration does not fit together.", "The message says why."},
		{CodeMigrating, "A role, or a plugin of it, is driven by a migration.", "Wait for its end, or end it: `alys migrate abort` or `rollback`."},
		{CodePluginSchema, "A plugin describes its configuration wrongly.", "Tell the plugin's author."},
		{CodePluginConfig, "The plugin itself refuses its configuration.", "The message is the plugin's."},
		{CodeSecretChanged, "A secret that the journal refers to is gone or another.", "Restore it, or apply the configuration as it is now."},
	}
}
