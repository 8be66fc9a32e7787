// Owns who may present whose token: the answer to tokens that leak or are passed along. Pure.
// Must not authenticate the presenter.
import type { Service } from '../ruleset/ruleset.ts'
import type { TrustedIssuer } from './trusted-issuer.ts'

/** A service, as far as presenting a token depends on it. */
export type Presenter = Pick<Service, 'name' | 'audience'>

/**
 * Whether a service may present a token with these audiences. One of them is enough: it says that the
 * service, or what stands for it outside the mesh, is a recipient of the token (RFC 7519 §4.1.3).
 */
export function mayPresent(
  issuer: TrustedIssuer,
  audiences: readonly string[],
  presenter: Presenter,
): boolean {
  const { presentedBy } = issuer
  if (presentedBy === 'audience') return audiences.includes(presenter.audience)
  return audiences.some((audience) => presentedBy.get(audience)?.has(presenter.name) === true)
}
