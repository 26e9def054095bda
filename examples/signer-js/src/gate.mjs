// The order of the lifecycle, for every call: what sdk/plugin enforces for plugins in Go.
import { configured, draining, notConfigured } from './errors.mjs'

export class Gate {
  #state = 'fresh' // configuring, configured, broken
  #failure = ''
  #running = 0
  #drained // the promise of the one drain
  #idle

  constructor(plugin) {
    this.plugin = plugin
  }

  get draining() {
    return this.#drained !== undefined
  }

  async configure(config) {
    if (this.draining) throw draining()
    if (this.#state !== 'fresh') throw configured()
    this.#state = 'configuring'
    try {
      await this.plugin.configure(config)
      this.#state = 'configured'
    } catch (err) {
      this.#state = 'broken'
      this.#failure = err.message
      throw err
    }
  }

  // health answers for a plugin that is not up, or going down.
  health() {
    if (this.draining) return { state: 'draining' }
    switch (this.#state) {
      case 'fresh':
        return { state: 'starting', message: 'not configured' }
      case 'configuring':
        return { state: 'starting', message: 'being configured' }
      case 'broken':
        return { state: 'failed', message: `configure: ${this.#failure}` }
    }
    return this.plugin.health()
  }

  // run lets a call of the kind's own pass.
  async run(call) {
    if (this.draining) throw draining()
    if (this.#state !== 'configured') throw notConfigured()
    this.#running++
    try {
      return await call()
    } finally {
      this.#running--
      if (this.#running === 0) this.#idle?.()
    }
  }

  // drain refuses new calls, waits for those that run and lets the plugin flush; every later call gets the same promise.
  drain() {
    this.#drained ??= (async () => {
      if (this.#running > 0) await new Promise((resolve) => (this.#idle = resolve))
      if (this.#state === 'configured') await this.plugin.drain()
    })()
    return this.#drained
  }
}
