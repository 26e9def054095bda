// The signer's own guard: at most one block a slot, in increasing slots, never at a lower height. It is on disk before
// anything is signed.
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

import { refused, unavailable } from './errors.mjs'

export class Guard {
  #path
  #floor = { slot: 0n, height: 0n } // nothing at or below slot, nothing below height
  #header = '' // approved last, as hex

  // A guard that cannot be read is an error: a signer never starts with an empty one in its place.
  constructor(path) {
    this.#path = path
    if (!existsSync(path)) return
    const { slot, height, header } = JSON.parse(readFileSync(path, 'utf8'))
    if (!/^\d+$/.test(slot) || !/^\d+$/.test(height) || !/^[0-9a-f]*$/.test(header)) throw new Error(`${path} is not a guard`)
    this.#floor = { slot: BigInt(slot), height: BigInt(height) }
    this.#header = header
  }

  // reserve refuses, or returns when the block is the one that this slot is used for, durably.
  reserve({ slot, height, bytes }) {
    const header = bytes.toString('hex')
    if (header === this.#header) return // the same request again gets the same answer
    if (slot <= this.#floor.slot) throw refused(`slot ${slot} is not above ${this.#floor.slot}`)
    if (height < this.#floor.height) throw refused(`height ${height} is below ${this.#floor.height}`)
    this.#keep({ slot, height }, header)
  }

  // raise never lowers.
  raise({ slot, height }) {
    const max = (a, b) => (a > b ? a : b)
    this.#keep({ slot: max(slot, this.#floor.slot), height: max(height, this.#floor.height) }, this.#header)
  }

  #keep(floor, header) {
    const text = JSON.stringify({ slot: String(floor.slot), height: String(floor.height), header })
    try {
      writeDurably(this.#path, text + '\n')
    } catch (err) {
      throw unavailable(`the guard cannot be written: ${err.message}`)
    }
    this.#floor = floor
    this.#header = header
  }
}

// writeDurably replaces a file: after a power cut it has the old text or the new one.
function writeDurably(path, text) {
  const next = `${path}.new`
  withFile(next, 'w', (fd) => {
    writeSync(fd, text)
    fsyncSync(fd)
  })
  renameSync(next, path)
  withFile(dirname(path), 'r', fsyncSync)
}

function withFile(path, flags, use) {
  const fd = openSync(path, flags, 0o600)
  try {
    use(fd)
  } finally {
    closeSync(fd)
  }
}
