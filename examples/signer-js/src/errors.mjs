// Errors with an identity: the node knows them again by the reason in an ErrorInfo. sdk/wire/README.md has the table.
import { Metadata, status } from '@grpc/grpc-js'

import { encode } from './protos.mjs'

const domain = 'alys.plugin'

export class CallError extends Error {
  constructor(code, reason, message) {
    super(message)
    this.code = code
    this.reason = reason // empty: none
  }
}

export const refused = (why) => new CallError(status.PERMISSION_DENIED, 'SIGNER_REFUSED', `signer refused: ${why}`)
export const unknownKey = (id) => new CallError(status.NOT_FOUND, 'SIGNER_UNKNOWN_KEY', `signer does not hold the key ${id}`)
export const unavailable = (why) => new CallError(status.UNAVAILABLE, 'SIGNER_UNAVAILABLE', why)
export const notConfigured = () => new CallError(status.FAILED_PRECONDITION, 'PLUGIN_NOT_CONFIGURED', 'plugin is not configured')
export const configured = () => new CallError(status.FAILED_PRECONDITION, 'PLUGIN_CONFIGURED', 'plugin is already configured')
export const draining = () => new CallError(status.UNAVAILABLE, 'PLUGIN_DRAINING', 'plugin is draining')
export const cancelled = () => new CallError(status.CANCELLED, 'CANCELLED', 'nobody waits for the answer')
export const malformed = (what) => new CallError(status.INVALID_ARGUMENT, '', `malformed request: ${what}`)

// toStatus is an error as grpc-js answers with it. The code in the details must be the call's code: gRPC for Go takes
// anything else for a broken answer.
export function toStatus(err) {
  if (!(err instanceof CallError)) {
    return { code: status.INTERNAL, details: String(err?.message ?? err) }
  }
  const answer = { code: err.code, details: err.message }
  if (err.reason) {
    const info = encode('google.rpc.ErrorInfo', { reason: err.reason, domain })
    const details = [{ type_url: 'type.googleapis.com/google.rpc.ErrorInfo', value: info }]
    answer.metadata = new Metadata()
    answer.metadata.set('grpc-status-details-bin', encode('google.rpc.Status', { code: err.code, message: err.message, details }))
  }
  return answer
}
