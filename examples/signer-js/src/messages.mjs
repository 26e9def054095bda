// What is signed, computed from what the node sends: never a digest that somebody else computed.
import { createHash } from 'node:crypto'

import { malformed } from './errors.mjs'

const headerSize = 177
const headerVersion = 1

// readHeader reads the canonical block header (sdk/chain/header.go).
export function readHeader(bytes) {
  if (bytes.length !== headerSize) throw malformed(`header has ${bytes.length} bytes, want ${headerSize}`)
  if (bytes[0] !== headerVersion) throw malformed(`header version ${bytes[0]} is not supported`)
  return { bytes, genesis: bytes.subarray(1, 33), slot: bytes.readBigUInt64BE(33), height: bytes.readBigUInt64BE(41) }
}

// tagged is SHA-256(tag, a zero byte, parts…).
function tagged(tag, ...parts) {
  const hash = createHash('sha256').update(tag).update(Buffer.from([0]))
  for (const part of parts) hash.update(part)
  return hash.digest()
}

export const approvalRoot = (header) => tagged('alys/approval/1', tagged('alys/block/1', header.bytes))
export const challengeRoot = ({ genesis, nonce, key }) => tagged('alys/challenge/1', genesis, nonce, Buffer.from(key))
