// Owns what is kept of the values in the claim `ctx`: enough to tell that others would be in it.
// Must not keep the values.
import { hash } from 'node:crypto'

const HEX_DIGITS = 16

/** The first digits of SHA-256 over `ctx` as JSON, its members in the order of the rules; undefined for none. */
export function ctxHashOf(ctx: Readonly<Record<string, unknown>> | undefined): string | undefined {
  if (ctx === undefined || Object.keys(ctx).length === 0) return undefined
  return hash('sha256', JSON.stringify(ctx), 'hex').slice(0, HEX_DIGITS)
}
