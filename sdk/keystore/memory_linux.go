package keystore

import "golang.org/x/sys/unix"

func dontDump(page []byte) error { return unix.Madvise(page, unix.MADV_DONTDUMP) }
