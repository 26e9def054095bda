// EIP-2335 keystores: a secret key, sealed under a password.
import { createDecipheriv, createHash, pbkdf2Sync, scryptSync, timingSafeEqual } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'

const maxSize = 64 << 10 // bytes
const maxRounds = 10_000_000
const maxMemory = 512 << 20 // bytes

export class WrongPassword extends Error {}

// openKeystore gives the 32 bytes of the secret.
export function openKeystore(path, password) {
  if (statSync(path).size > maxSize) throw new Error(`${path} is too large for a keystore`)
  let file
  try {
    file = JSON.parse(readFileSync(path, 'utf8'))
  } catch (err) {
    if (err instanceof SyntaxError) throw new Error(`${path} is not JSON`) // its own text would show a part of the file
    throw err
  }
  const { kdf, checksum, cipher } = file?.crypto ?? {}
  if (file?.version !== 4 || checksum?.function !== 'sha256' || cipher?.function !== 'aes-128-ctr' || kdf?.params?.dklen !== 32) {
    throw new Error(`${path} is not an EIP-2335 keystore of version 4`)
  }
  const key = derive(path, kdf, Buffer.from(normalize(password), 'utf8'))
  const message = Buffer.from(cipher.message, 'hex')
  const want = Buffer.from(checksum.message, 'hex')
  const got = createHash('sha256').update(key.subarray(16, 32)).update(message).digest()
  if (want.length !== got.length || !timingSafeEqual(want, got)) throw new WrongPassword(`the password does not open ${path}`)
  const opener = createDecipheriv('aes-128-ctr', key.subarray(0, 16), Buffer.from(cipher.params.iv, 'hex'))
  return Buffer.concat([opener.update(message), opener.final()])
}

function derive(path, { function: name, params }, password) {
  const salt = Buffer.from(params.salt, 'hex')
  if (name === 'pbkdf2' && params.prf === 'hmac-sha256' && params.c >= 1 && params.c <= maxRounds) {
    return pbkdf2Sync(password, salt, params.c, 32, 'sha256')
  }
  if (name === 'scrypt') {
    // Node.js refuses parameters that need more than maxmem.
    return scryptSync(password, salt, 32, { N: params.n, r: params.r, p: params.p, maxmem: maxMemory })
  }
  throw new Error(`${path} derives its key by an unknown or unreasonable function`)
}

// normalize is EIP-2335's: NFKD, without control characters. A newline at the end of a password file goes with them.
function normalize(password) {
  return password.normalize('NFKD').replace(/[\u0000-\u001f\u007f-\u009f]/g, '')
}
