// Owns what it means that scopes of a token justify a scope, and how that is told.
// Must not know targets or rules.
import type { Justification } from './ruleset.ts'

/** Whether a token with these scopes justifies; an empty list justifies nothing. */
export function isJustified(
  { mode, scopes }: Pick<Justification, 'mode' | 'scopes'>,
  brings: ReadonlySet<string>,
): boolean {
  const has = (scope: string) => brings.has(scope)
  return mode === 'all' ? scopes.length > 0 && scopes.every(has) : scopes.some(has)
}

const MAX_SHOWN = 120

/** `any of a b`, for people. */
export const describeNeed = ({ mode, scopes }: Justification): string =>
  `${mode} of ${scopes.join(' ').slice(0, MAX_SHOWN)}`

/** An expression on one line, bounded: it may be written over several. */
export const shown = (source: string): string => source.replace(/\s+/g, ' ').slice(0, 2 * MAX_SHOWN)

/** Text from a request, bounded and quoted. */
export const quoted = (text: string): string => JSON.stringify(text.slice(0, MAX_SHOWN))

/** Scopes of a token, bounded. */
export const listed = (scopes: ReadonlySet<string>): string =>
  scopes.size === 0 ? 'no scope' : [...scopes].join(' ').slice(0, MAX_SHOWN)
