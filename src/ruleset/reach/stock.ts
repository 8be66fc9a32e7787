// Owns the tokens of ours that an exploration knows, and which of them bring no more than another.
// Must not exchange them.
import { SELF } from '../../subjects/subject.ts'
import { ruleFor } from '../rule-for.ts'
import type { Ruleset, Service } from '../ruleset.ts'
import type { Arrival, ReachedToken } from './token.ts'

/** A token of ours that is known, and what it brings as bits. */
export interface Stocked {
  readonly token: ReachedToken
  readonly service: Service
  readonly scopes: bigint
  claims: bigint
  ctxClaims: bigint
}

/** Tokens for one service. */
export interface Stock {
  /** The token with these scopes and levels, which it makes where it is not known. */
  readonly place: (
    scopes: readonly string[],
    levels: number,
    made: { readonly exp: number; readonly arrival: Arrival },
  ) => { readonly stocked: Stocked; readonly isNew: boolean }
  /** Compares a token that is new, or brings more than before, with the others. */
  readonly weigh: (stocked: Stocked) => void
  /** Whether no other token that was weighed brings all that it does, with no more levels of `act`. */
  readonly isUncovered: (stocked: Stocked) => boolean
}

/** Gives each name a bit, in the order in which they come. */
export function createBits(): (name: string) => bigint {
  const bits = new Map<string, bigint>()
  return (name) => {
    const known = bits.get(name)
    if (known !== undefined) return known
    const bit = 1n << BigInt(bits.size)
    bits.set(name, bit)
    return bit
  }
}

/**
 * Makes the stock of a service. Of the scopes in its tokens only those count that justify something for it:
 * tokens that differ in others obtain the same.
 */
export function createStock(service: Service, ruleset: Ruleset): Stock {
  const { justifying, forwards } = usesOf(service, ruleset)
  const bitOf = createBits()
  const byKey = new Map<string, Stocked>()
  const uncovered = new Set<Stocked>()
  return {
    place(all, levels, { exp, arrival }) {
      const scopes = forwards ? all : all.filter((scope) => justifying.has(scope))
      const bits = scopes.reduce((sum, scope) => sum | bitOf(scope), 0n)
      const key = `${levels} ${bits}`
      const known = byKey.get(key)
      if (known !== undefined) return { stocked: known, isNew: false }
      const token: ReachedToken = {
        issuer: SELF,
        service,
        presenters: [service],
        audiences: [service.audience],
        scopes: new Set(scopes),
        levels,
        exp,
        arrival,
        claims: new Map(),
        shown: forwards ? { ctxClaims: new Map(), inside: new Map() } : undefined,
      }
      const stocked: Stocked = { token, service, scopes: bits, claims: 0n, ctxClaims: 0n }
      byKey.set(key, stocked)
      return { stocked, isNew: true }
    },
    weigh(stocked) {
      for (const other of uncovered) if (other !== stocked && covers(other, stocked)) return
      for (const other of uncovered) if (covers(stocked, other)) uncovered.delete(other)
      uncovered.add(stocked)
    },
    isUncovered: (stocked) => uncovered.has(stocked),
  }
}

const covers = (other: Stocked, one: Stocked): boolean =>
  other.token.levels <= one.token.levels &&
  (one.scopes & other.scopes) === one.scopes &&
  (one.claims & other.claims) === one.claims &&
  (one.ctxClaims & other.ctxClaims) === one.ctxClaims &&
  coversInside(other.token, one.token)

const coversInside = (other: ReachedToken, one: ReachedToken): boolean =>
  one.shown === undefined ||
  [...one.shown.inside].every(([key, { claims }]) => {
    const same = other.shown?.inside.get(key)
    return same !== undefined && [...claims.keys()].every((claim) => same.claims.has(claim))
  })

/** What a service can do with tokens of ours. */
function usesOf(
  service: Service,
  { services }: Ruleset,
): { readonly justifying: ReadonlySet<string>; readonly forwards: boolean } {
  const justifying = new Set<string>()
  let forwards = false
  for (const name of service.calls) {
    const target = services.get(name)
    const rule = target && ruleFor(target, service, SELF)
    if (rule === undefined) continue
    if (rule.forward) forwards = true
    for (const { scopes } of rule.scopes.values()) for (const scope of scopes) justifying.add(scope)
  }
  return { justifying, forwards }
}
