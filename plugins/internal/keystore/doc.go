// Package keystore keeps secret keys in files as EIP-2335 keystores, and in memory in locked pages. Signers share it.
//
// A keystore of a BLS key is EIP-2335 version 4 as other Ethereum tools read and write it. A secp256k1 key gets the same
// envelope and so the same protection, with two differences: "pubkey" is the compressed point (33 bytes) and there is a
// field "scheme" with the value "secp256k1", without which a keystore is one of BLS12-381.
//
// New keystores are sealed with PBKDF2 (HMAC-SHA-256, 262,144 rounds) and AES-128-CTR, the parameters of the EIP. Both
// PBKDF2 and scrypt are read, within limits, because a keystore may come from anywhere. The public key in the file is
// never trusted: it is derived from the secret at opening, and a file that says another is refused.
//
// A Dir is a folder of keystores. Folder and files must be closed to group and others. Writes are atomic and durable. A
// removed key leaves a tombstone, which is durable before anything is destroyed, and is never loaded again.
//
// Passwords are taken as EIP-2335 says: NFKD, without control characters. So the newline at the end of a password file
// is no part of the password. Bytes that are not UTF-8 seal nothing, because they would all count as one character.
package keystore
