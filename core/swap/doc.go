// Package swap brings what runs to what alys.hcl wants, while the node goes on.
//
// Desired is what the file says. Applied is what the journal says, and so what runs: per role a route, and the resolved
// text of every plugin in it. A Plan is the difference. Apply carries it out in six steps:
//
//  1. diff desired against applied; nothing to do is nothing done
//  2. journal the intent; start the new generations beside the old ones. A new one that claims a resource that an old one
//     holds comes up by handover: the old one leaves its routes (a fallback answers, or the route is held and the plan
//     shows the gap), is drained and closed, and is reopened if anything fails
//  3. admission of every plugin in every place that is new to it
//  4. hold the routes, ask for admission once more, fsync the flipped record, set the routes, release. The record is the
//     commit: a host that dies before it comes back with the old plugins, after it with the new ones
//  5. probation: the old generation stays warm; too many failures, a worse p99, a disagreement or a crash of the new one
//     flips back, and the change is rejected until the file changes
//  6. drain and close the old generations; journal done
//
// An apply is one unit, whatever the number of roles in it: all of them flip with one record, or none. A failure before
// that record leaves the old routes serving and comes back as a StepError.
//
// The package knows no process, no route and no file format: the node hands in a Launcher, Routes, an Admitter and a
// Journal (FileJournal is here).
package swap
