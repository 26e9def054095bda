// Runs a plugin under an alys node: what plugin.Serve does for plugins in Go. sdk/wire/README.md describes it step by step.
import grpc from '@grpc/grpc-js'
import { randomBytes } from 'node:crypto'
import { basename, join } from 'node:path'

import { pem, selfSigned } from './certificate.mjs'
import { cancelled, toStatus } from './errors.mjs'
import { Gate } from './gate.mjs'
import { captureConsole, log } from './log.mjs'
import { services } from './protos.mjs'

const cookie = '0b7ce0a3-alys-plugin'
const coreProtocol = 1 // of go-plugin
const protocol = 1 // of alys.*.v1
const maxMessage = 64 << 20 // bytes
const shutdownGrace = 1500 // milliseconds; the node kills after 2 seconds
const parentPoll = 1000 // milliseconds

// serve runs until the node ends the process or is gone. The plugin has describe, schema, validate, configure, health and
// drain; methods(), by name, are its kind's calls.
export function serve(plugin) {
  const parent = process.ppid // at once: a node that dies from here on is noticed
  const started = ['signer', 'engine', 'sync'].find((k) => process.env[`ALYS_${k.toUpperCase()}_PLUGIN`] === cookie)
  if (!started) return byHand(plugin.describe())
  captureConsole()
  const { kind, name } = plugin.describe()
  if (started !== kind) {
    log('error', `"${name}" is of kind "${kind}" and the node started it as "${started}"`)
    process.exit(1)
  }
  listen(plugin, parent)
}

function listen(plugin, parent) {
  const gate = new Gate(plugin)
  const server = new grpc.Server({ 'grpc.max_receive_message_length': maxMessage, 'grpc.max_send_message_length': maxMessage })
  const end = async (why) => {
    log('debug', 'ending', { why })
    const late = new Promise((resolve) => setTimeout(resolve, shutdownGrace))
    await Promise.race([gate.drain().catch((err) => log('error', 'drain at the end of the process', { error: err.message })), late])
    server.forceShutdown() // removes the socket
    process.exit(0)
  }

  server.addService(services.plugin, unary(lifecycle(plugin, gate)))
  server.addService(services.signer, unary(guarded(plugin.methods(), gate)))
  server.addService(services.health, unary({ Check: () => ({ status: 'SERVING' }) }))
  server.addService(services.controller, {
    Shutdown: (_call, callback) => {
      callback(null, {})
      setImmediate(end, 'the node said so')
    },
  })

  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
      if (gate.draining) end(signal)
      else log('debug', 'signal ignored: the node ends its plugins itself', { signal })
    })
  }
  setInterval(() => {
    if (process.ppid !== parent) end('the node is gone')
  }, parentPoll).unref()

  const { key, certificate } = selfSigned()
  const socket = join(process.env.PLUGIN_UNIX_SOCKET_DIR, `plugin${randomBytes(4).toString('hex')}`)
  const credentials = grpc.ServerCredentials.createSsl(
    Buffer.from(process.env.PLUGIN_CLIENT_CERT), // whoever has its key, and nobody else, may connect
    [{ private_key: pem('PRIVATE KEY', key), cert_chain: pem('CERTIFICATE', certificate) }],
    true,
  )
  server.bindAsync(`unix:${socket}`, credentials, (err) => {
    if (err) {
      log('error', 'cannot listen', { error: err.message })
      process.exit(1)
    }
    const own = certificate.toString('base64').replace(/=+$/, '')
    process.stdout.write(`${coreProtocol}|${protocol}|unix|${socket}|grpc|${own}\n`)
  })
}

// lifecycle is the service alys.plugin.v1.
function lifecycle(plugin, gate) {
  return {
    Describe: () => plugin.describe(),
    Schema: () => ({ block: plugin.schema() }),
    Validate: ({ config }) => plugin.validate(config),
    Configure: async ({ config }) => (await gate.configure(config), {}),
    Health: () => gate.health(),
    Drain: async () => (await gate.drain(), {}),
  }
}

// guarded lets the calls of the kind through the gate. A request that nobody waits for any more must not use up a slot.
function guarded(methods, gate) {
  return Object.fromEntries(Object.entries(methods).map(([name, method]) => [name, (request, call) => gate.run(() => {
    if (call.cancelled) throw cancelled()
    return method(request)
  })]))
}

// unary makes grpc-js handlers of functions from request to answer; what they throw is the answer of that call only.
function unary(methods) {
  return Object.fromEntries(Object.entries(methods).map(([name, method]) => [name, async (call, callback) => {
    try {
      callback(null, await method(call.request, call))
    } catch (err) {
      const answer = toStatus(err)
      if (answer.code === grpc.status.INTERNAL) log('error', 'handler failed', { method: name, stack: String(err?.stack) })
      callback(answer)
    }
  }]))
}

// byHand answers a person who runs the program.
function byHand(d) {
  const me = process.argv[1]
  if (process.argv.length === 3 && ['describe', '--version', '-version'].includes(process.argv[2])) {
    process.stdout.write(JSON.stringify({ ...d, protocol }, null, 2) + '\n')
    return
  }
  process.stderr.write(`${basename(me)} is a plugin of alys: kind "${d.kind}", name "${d.name}", version ${d.version}.
It does nothing by itself: the node starts it. Name it in alys.hcl:

    plugin "${d.kind}" "${d.name}" {
      command = "${me}"
    }

"${basename(me)} describe" prints what it is as JSON.
`)
  process.exitCode = 1
}
