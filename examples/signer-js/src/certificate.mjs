// The certificate of one run: self-signed, for "localhost", never written to disk. Node.js can sign but not make one, so
// the few fields of it are encoded here (X.509 v3, RFC 5280).
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'

function der(tag, ...parts) {
  const content = Buffer.concat(parts)
  const n = content.length
  const length = n < 0x80 ? [n] : n < 0x100 ? [0x81, n] : [0x82, n >> 8, n & 0xff]
  return Buffer.concat([Buffer.from([tag, ...length]), content])
}

const sequence = (...parts) => der(0x30, ...parts)
const oid = (...bytes) => der(0x06, Buffer.from(bytes))
const text = (tag, s) => der(tag, Buffer.from(s, 'latin1'))
const extension = (id, value) => sequence(id, der(0x04, value))

const ecdsaWithSHA256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02))
const commonName = oid(0x55, 0x04, 0x03)
const subjectAltName = oid(0x55, 0x1d, 0x11)
const extendedKeyUsage = oid(0x55, 0x1d, 0x25)
const serverAuth = oid(0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01)

// selfSigned gives the key and the certificate, each as DER.
export function selfSigned(now = new Date()) {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const serial = randomBytes(16)
  serial[0] = (serial[0] & 0x7f) | 0x40 // positive, and no leading zero
  const name = sequence(der(0x31, sequence(commonName, text(0x0c, 'localhost'))))
  const since = new Date(now.getTime() - 60_000).toISOString().replace(/[-:T]|\.\d+/g, '')
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))), // version 3
    der(0x02, serial),
    ecdsaWithSHA256,
    name,
    sequence(text(0x17, since.slice(2)), text(0x18, '99991231235959Z')),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(
      extension(subjectAltName, sequence(text(0x82, 'localhost'))),
      extension(extendedKeyUsage, sequence(serverAuth)),
    )),
  )
  const signature = sign('sha256', body, privateKey)
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'der' }),
    certificate: sequence(body, ecdsaWithSHA256, der(0x03, Buffer.from([0]), signature)),
  }
}

// pem wraps DER for TLS.
export function pem(label, bytes) {
  const lines = bytes.toString('base64').match(/.{1,64}/g).join('\n')
  return Buffer.from(`-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`)
}
