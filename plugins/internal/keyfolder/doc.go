// Package keyfolder keeps sealed keys as files in a folder. Signers share it.
//
// Folder and files must be closed to group and others. Writes are atomic and durable. A removed key leaves a tombstone,
// which is durable before anything is destroyed, and is never loaded again.
package keyfolder
