import { serve } from './serve.mjs'
import { Signer } from './signer.mjs'

serve(new Signer())
