// Owns minting: what was tailored is checked against P1 once more and signed, the innermost tokens first.
// Must not decide; must not hold keys.
import type { SigningAlgorithm } from '../jwt/algorithms.ts'
import { type Failure, fail, ok, type Result } from '../oauth/reasons.ts'
import { type AttenuatedClaims, attenuate } from './attenuation.ts'
import type { MintedToken } from './minted.ts'
import type { Tailored, TailoredChild } from './tailor.ts'

/**
 * Signs claims as `at+jwt` with the active key of an algorithm (undefined: the deployment's default).
 * Fails with `signing_key_unavailable`.
 */
export type SignClaims = (
  claims: AttenuatedClaims,
  algorithm: SigningAlgorithm | undefined,
) => Result<{ readonly token: string; readonly kid: string }>

/** How tokens are signed here, and how long one may be. */
export interface MintTools {
  readonly sign: SignClaims
  /** Characters of a token with everything inside; hop by hop, headers of that size must get through. */
  readonly maxTokenCharacters: number
}

/** A token and the fate of each token inside. */
export interface Minted {
  readonly token: MintedToken
  readonly children: readonly MintedChild[]
}

export interface MintedChild {
  readonly child: TailoredChild
  readonly minted: Result<Minted>
}

/**
 * Signs what was tailored. A child that cannot be minted is left out as one that was denied is, unless
 * it is required. Throws where P1 or P2 would be broken: that is a bug.
 */
export function mint(
  tailored: Extract<Tailored, { outcome: 'tailored' }>,
  tools: MintTools,
): Result<Minted> {
  const { order, built, decision } = tailored
  const children: MintedChild[] = []
  const embedded: Record<string, string> = {}
  for (const child of tailored.children) {
    const minted = mintChild(child, tools)
    children.push({ child, minted })
    if (minted.ok) embedded[child.embed.member] = minted.value.token.token
    else if (minted.reason === 'signing_key_unavailable') return minted
    else if (child.embed.required) return requiredChild(child, minted)
  }
  const isParent = Object.keys(embedded).length > 0
  const claims = attenuate(isParent ? { ...built.claims, embedded } : built.claims, order)
  const signed = tools.sign(claims, decision.target.algorithm)
  if (!signed.ok) return signed
  if (signed.value.token.length > tools.maxTokenCharacters) {
    return fail('mint_token_too_large', `${signed.value.token.length} characters`)
  }
  const token = { ...signed.value, claims, passedClaims: built.passedClaims }
  return ok({ token, children })
}

/** Compiling refuses to embed what forwards: nothing travels inside that we did not mint. */
function mintChild({ tailored }: TailoredChild, tools: MintTools): Result<Minted> {
  if (tailored.outcome === 'tailored') return mint(tailored, tools)
  if (tailored.outcome === 'denied') return tailored.failure
  throw new Error('a forwarded token was to be embedded')
}

const requiredChild = ({ embed }: TailoredChild, { reason }: Failure): Failure =>
  fail('embed_required_denied', `the required token for ${embed.to}: ${reason}`)
