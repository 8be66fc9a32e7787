// Owns who may present whose token: the answer to tokens that leak or are passed along. Pure.
// Must not authenticate the presenter.
import type { Client } from '../clients/client.ts'
import type { SpiffeId } from '../clients/spiffe-id.ts'
import type { Service } from '../ruleset/ruleset.ts'
import type { TrustedIssuer } from './trusted-issuer.ts'

/** Who presents a token, as far as that depends on it. */
export interface Presenter extends Pick<Service, 'name' | 'audience' | 'grants'> {
  /** The authenticated workload itself: a service may have several. Undefined outside the mesh. */
  readonly spiffeId: SpiffeId | undefined
}

/** The presenter that an authenticated client of a service is. */
export const presenterOf = (
  { name, audience, grants }: Service,
  { identity }: Client,
): Presenter => ({
  name,
  audience,
  grants,
  spiffeId: identity.kind === 'workload' ? identity.spiffeId : undefined,
})

/**
 * Whether a service may present a token with these audiences. One of them is enough: it says that the
 * service, or what stands for it outside the mesh, is a recipient of the token (RFC 7519 §4.1.3).
 */
export function mayPresent(
  issuer: Pick<TrustedIssuer, 'presentedBy'>,
  audiences: readonly string[],
  presenter: Pick<Presenter, 'name' | 'audience'>,
): boolean {
  const { presentedBy } = issuer
  if (presentedBy === 'audience') return audiences.includes(presenter.audience)
  return audiences.some((audience) => presentedBy.get(audience)?.has(presenter.name) === true)
}
