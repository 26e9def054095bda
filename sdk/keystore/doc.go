// Package keystore seals secret keys as EIP-2335 keystores, and keeps them in memory in locked pages. Signers share it
// with the operator's commands and the conformance suite.
//
// A keystore of a BLS key is EIP-2335 version 4 as other Ethereum tools read and write it. A secp256k1 key gets the same
// envelope and so the same protection, with two differences: "pubkey" is the compressed point (33 bytes) and there is a
// field "scheme" with the value "secp256k1", without which a keystore is one of BLS12-381.
//
// New keystores are sealed with PBKDF2 (HMAC-SHA-256, 262,144 rounds) and AES-128-CTR, the parameters of the EIP. Both
// PBKDF2 and scrypt are read, within limits, because a keystore may come from anywhere. The public key in the file is
// never trusted: it is derived from the secret at opening, and a file that says another is refused.
//
// Passwords are taken as EIP-2335 says: NFKD, without control characters. So the newline at the end of a password file
// is no part of the password. Bytes that are not UTF-8 seal nothing, because they would all count as one character.
package keystore
