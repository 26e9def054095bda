// A signer with one approval key, in an EIP-2335 keystore.
import { bls12_381 } from '@noble/curves/bls12-381.js'
import { join } from 'node:path'

import { malformed, refused, unknownKey } from './errors.mjs'
import { Guard } from './guard.mjs'
import { openKeystore, WrongPassword } from './keystore.mjs'
import { approvalRoot, challengeRoot, readHeader } from './messages.mjs'

const bls = bls12_381.longSignatures // public keys 48 bytes in G1, signatures 96 bytes in G2

// The ciphersuite of the proof-of-possession scheme, as in sdk/bls.
const signatureDST = 'BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_'
const possessionDST = 'BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_'

export class Signer {
  #genesis
  #guard
  #secret
  #id
  #possession

  describe() {
    return { kind: 'signer', name: 'js', version: '0.1.0', capabilities: ['signer.floor'], deterministic: true, network: false }
  }

  schema() {
    return {
      doc: 'One approval key in an EIP-2335 keystore.',
      attributes: [
        { name: 'keystore', type: 'path', required: true, doc: 'The file of the keystore.' },
        { name: 'password', type: 'string', required: true, sensitive: true, doc: 'What it is sealed with, as file("…") or env("…").' },
      ],
    }
  }

  // validate reports every problem at the attribute that it is about, and has no side effect. The resources keep a second
  // process away from the guard's file.
  validate(config) {
    try {
      open(config)
    } catch (err) {
      const path = [err instanceof WrongPassword ? 'password' : 'keystore']
      return { diagnostics: [{ severity: 1, summary: err.message, detail: 'Name an EIP-2335 keystore of a BLS key, and its password.', path }] }
    }
    return { resources: config.host.data_dir ? [{ kind: 'path', value: guardPath(config) }] : [] }
  }

  configure(config) {
    this.#secret = open(config)
    this.#genesis = config.host.genesis
    this.#guard = new Guard(guardPath(config))
    const pub = bls.getPublicKey(this.#secret).toBytes()
    this.#id = `bls:0x${Buffer.from(pub).toString('hex')}`
    this.#possession = this.#sign(pub, possessionDST)
  }

  health() {
    return { state: 'ready' }
  }

  drain() {
    this.#secret.fill(0)
  }

  // methods are the calls of alys.signer.v1. Each runs to its end before the next one starts, so the guard needs no lock.
  methods() {
    return {
      Keys: () => ({ keys: [{ id: this.#id, purpose: 'approval', possession: this.#possession }] }),
      Approve: (r) => {
        const header = readHeader(r.header)
        this.#check(r.key, header.genesis)
        this.#guard.reserve(header)
        return { signature: this.#sign(approvalRoot(header)) }
      },
      RaiseFloor: ({ floors }) => {
        for (const f of floors) {
          if (f.key === this.#id) this.#guard.raise({ slot: BigInt(f.slot), height: BigInt(f.height) })
        }
        return {}
      },
      Prove: (r) => {
        if (r.genesis.length !== 32 || r.nonce.length !== 32) throw malformed('genesis and nonce have 32 bytes')
        this.#check(r.key, r.genesis)
        return { scheme: 'bls', signature: this.#sign(challengeRoot(r)) }
      },
      SignBitcoin: (r) => {
        throw unknownKey(r.key)
      },
    }
  }

  // Unknown key and refused are different answers; after a refusal the node asks nobody else.
  #check(key, genesis) {
    if (key !== this.#id) throw unknownKey(key)
    if (!genesis.equals(this.#genesis)) throw refused('the genesis is of another chain')
  }

  #sign(message, dst = signatureDST) {
    return bls.sign(bls.hash(message, dst), this.#secret).toBytes()
  }
}

// open reads the config block; the node has checked it against the schema.
function open(config) {
  const { keystore, password, ...rest } = JSON.parse(config.json.toString('utf8'))
  if (Object.keys(rest).length > 0) throw new Error(`the config block has ${Object.keys(rest)}, which the schema has not`)
  return openKeystore(keystore, password)
}

const guardPath = (config) => join(config.host.data_dir, 'guard.json')
