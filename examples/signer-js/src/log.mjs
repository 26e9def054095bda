// Log lines on stderr in hclog's JSON: the node reads level and fields back, and shows them under the plugin's name.
export function log(level, message, fields = {}) {
  const line = { '@level': level, '@message': message, '@timestamp': new Date().toISOString(), ...fields }
  process.stderr.write(JSON.stringify(line) + '\n')
}

// captureConsole keeps every print of a library away from stdout, where the node reads the handshake.
export function captureConsole() {
  for (const [method, level] of [['log', 'info'], ['info', 'info'], ['debug', 'debug'], ['warn', 'warn'], ['error', 'error']]) {
    console[method] = (...args) => log(level, args.map(String).join(' '))
  }
}
