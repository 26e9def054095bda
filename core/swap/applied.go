package swap

import (
	"fmt"
	"maps"
	"slices"
)

// Applied is what the journal says runs: the roles, and the block of every plugin in them.
type Applied struct {
	Hash    string // of the desired state that it came from; another text after a rollback of one role
	Roles   map[Role]Route
	Plugins map[PluginID]Block
}

// RoleState is the route of one role with the blocks that it needs.
type RoleState struct {
	Route   Route
	Plugins map[PluginID]Block
}

func (a Applied) empty() bool { return len(a.Roles) == 0 }

func (a Applied) role(r Role) RoleState {
	s := RoleState{Route: a.Roles[r], Plugins: map[PluginID]Block{}}
	for _, p := range s.Route.places() {
		s.Plugins[p.plugin] = a.Plugins[p.plugin]
	}
	return s
}

// same reports that two states of a role are served by the same processes in the same positions.
func (s RoleState) same(o RoleState) bool {
	if !sameRoute(s.Route, o.Route) || len(s.Plugins) != len(o.Plugins) {
		return false
	}
	for id, b := range s.Plugins {
		if !b.same(o.Plugins[id]) {
			return false
		}
	}
	return true
}

func sameRoute(a, b Route) bool {
	if a.Step != b.Step || !slices.Equal(a.places(), b.places()) {
		return false
	}
	return a.Canary == nil || a.Canary.Percent == b.Canary.Percent
}

// with is the state with one role replaced. The role's plugins replace blocks of the same name for every role that uses
// them, because a plugin is one process.
func (a Applied) with(r Role, s RoleState) Applied {
	out := Applied{Hash: a.Hash, Roles: maps.Clone(a.Roles), Plugins: map[PluginID]Block{}}
	out.Roles[r] = s.Route
	blocks := maps.Clone(a.Plugins)
	maps.Copy(blocks, s.Plugins)
	for _, route := range out.Roles {
		for _, p := range route.places() {
			out.Plugins[p.plugin] = blocks[p.plugin]
		}
	}
	return out
}

// changedRoles lists the roles that differ between two states, in order.
func changedRoles(from, to Applied) []Role {
	all := map[Role]Route{}
	maps.Copy(all, from.Roles)
	maps.Copy(all, to.Roles)
	var out []Role
	for _, r := range sortedRoles(all) {
		_, a := from.Roles[r]
		_, b := to.Roles[r]
		if a != b || !from.role(r).same(to.role(r)) {
			out = append(out, r)
		}
	}
	return out
}

// validateResources refuses two plugins of one state that claim the same thing.
func (a Applied) validateResources() error {
	holder := map[string]PluginID{}
	for _, id := range sortedPlugins(a.Plugins) {
		for _, res := range a.Plugins[id].Resources {
			key := res.Kind + " " + res.Value
			if other, ok := holder[key]; ok && other != id {
				return fmt.Errorf("%w: %s and %s both claim %s", ErrBadDesired, other, id, key)
			}
			holder[key] = id
		}
	}
	return nil
}

// conflicts reports that two blocks claim the same resource, and which.
func conflicts(a, b Block) (string, bool) {
	for _, x := range a.Resources {
		if slices.Contains(b.Resources, x) {
			return x.Kind + " " + x.Value, true
		}
	}
	return "", false
}

func sortedRoles[V any](m map[Role]V) []Role { return slices.Sorted(maps.Keys(m)) }

func sortedPlugins[V any](m map[PluginID]V) []PluginID {
	return slices.SortedFunc(maps.Keys(m), func(a, b PluginID) int {
		switch {
		case a.String() < b.String():
			return -1
		case a.String() > b.String():
			return 1
		}
		return 0
	})
}
