// Bundles the signer into one file that runs by itself: dist/alys-signer-js. The node hashes that file, keeps a copy of
// it and runs the copy from another folder, so nothing beside it may be needed.
import { build } from 'esbuild'
import { chmod } from 'node:fs/promises'

const outfile = 'dist/alys-signer-js'
await build({
  entryPoints: ['src/main.mjs'],
  outfile,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs', // what node takes a file without extension for
  loader: { '.proto': 'text' },
  banner: { js: '#!/usr/bin/env node' },
  legalComments: 'eof',
  logLevel: 'warning',
})
await chmod(outfile, 0o755)
