package config

import "path/filepath"

// FindSocket looks for the operator's socket in a configuration that has errors, so that a broken file does not keep an
// operator from the node that runs. It reads node.admin_socket and node.data_dir where they are plain texts, and reports
// false where they are not. Like Load, it reads no more than a configuration can be.
func FindSocket(path string) (string, bool) {
	s := newSources()
	dir, _ := s.readPath(path) // what can be read of a broken file is enough
	var socket, data string
	for _, file := range s.order {
		for _, b := range childrenOf(s.bodies[file], "node") {
			if a, ok := b.Body.Attributes["admin_socket"]; ok && socket == "" {
				socket = literalText(a.Expr)
			}
			if a, ok := b.Body.Attributes["data_dir"]; ok && data == "" {
				data = literalText(a.Expr)
			}
		}
	}
	switch {
	case socket != "":
		return absolute(dir, socket), true
	case data != "":
		return filepath.Join(absolute(dir, data), "alys.sock"), true
	}
	return "", false
}
