// The services, from the .proto files of the SDK and a few lines of gRPC's and go-plugin's own. The bundler makes each
// import the file's text.
import { fromJSON } from '@grpc/proto-loader'
import protobuf from 'protobufjs'

import alysPlugin from '../../../sdk/wire/proto/alys/plugin/v1/plugin.proto'
import alysSigner from '../../../sdk/wire/proto/alys/signer/v1/signer.proto'
import goPlugin from './goplugin.proto'
import grpcHealth from './health.proto'
import rpcStatus from './status.proto'

const root = new protobuf.Root()
for (const text of [alysPlugin, alysSigner, goPlugin, grpcHealth, rpcStatus]) {
  protobuf.parse(text, root, { keepCase: true })
}

// 64-bit numbers are strings: a slot or height does not fit into a JavaScript number.
const definitions = fromJSON(root.toJSON({ keepComments: false }), { keepCase: true, longs: String, enums: String, defaults: true })

export const services = {
  plugin: definitions['alys.plugin.v1.Plugin'],
  signer: definitions['alys.signer.v1.Signer'],
  controller: definitions['plugin.GRPCController'],
  health: definitions['grpc.health.v1.Health'],
}

// encode gives the bytes of a message that is no call's own.
export function encode(name, value) {
  const type = root.lookupType(name)
  return Buffer.from(type.encode(type.fromObject(value)).finish())
}
