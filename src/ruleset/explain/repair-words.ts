// Owns the words in which a change to a denied exchange is told. Must not know what has to change.
import type { TailorOrder } from '../../tokens/tailor.ts'
import type { Expression } from '../expression/expression.ts'
import { shown } from '../justify.ts'

const MAX_VALUE_SHOWN = 80
const MAX_LISTED = 8

/** The claims that an expression reads, as they are: `; claim risk is "high"`. */
export function claimsRead(
  { claims: names }: Expression,
  { subject: { claims } }: TailorOrder,
): string {
  const values = names.map((name) => {
    if (!Object.hasOwn(claims, name)) return `claim \`${name}\` is absent`
    const text = JSON.stringify(claims[name])
    return `claim \`${name}\` is ${text.length > MAX_VALUE_SHOWN ? `${text.slice(0, MAX_VALUE_SHOWN)}…` : text}`
  })
  return values.length === 0 ? '' : `; ${values.join(', ')}`
}

/** An expression within a sentence. */
export const quoted = ({ source }: Expression): string => `\`${shown(source)}\``

/** `a`, `b` and `c`; no more than a line holds. */
export function list(items: Iterable<string>, word: 'and' | 'or' = 'and'): string {
  const all = [...items].map((item) => `\`${item}\``)
  if (all.length === 0) return 'none'
  if (all.length > MAX_LISTED)
    return `${all.slice(0, MAX_LISTED).join(', ')} and ${all.length - MAX_LISTED} more`
  const last = all.pop()
  return all.length === 0 ? `${last}` : `${all.join(', ')} ${word} ${last}`
}
