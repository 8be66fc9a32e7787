// Owns who calls and what is asked, as a test or a person writes it.
// Must not decide; what is written here is believed, so it never comes from a caller.
import { parseSpiffeId, type SpiffeId } from '../../clients/spiffe-id.ts'
import { TOKEN_EXCHANGE_GRANT, TOKEN_TYPES } from '../../oauth/names.ts'
import { fail, ok, type Result } from '../../oauth/reasons.ts'
import { parseTokenRequest } from '../../oauth/request.ts'
import type { Subject } from '../../subjects/subject.ts'
import type { Facts } from '../decision.ts'
import { fullName } from '../names.ts'
import type { Ruleset, Service } from '../ruleset.ts'
import type { Surroundings } from './surroundings.ts'
import type { ActorEntry, RequestEntry, SubjectEntry } from './test-schema.ts'

/** An exchange as it is written. */
export interface ScenarioEntry {
  readonly caller: string
  /** A token that is described, or the result of an earlier exchange. */
  readonly subject: SubjectEntry | Subject
  readonly actor?: ActorEntry | undefined
  readonly request: RequestEntry
  readonly now?: string | undefined
}

/** What the names in it mean. */
export interface Scene {
  readonly ruleset: Ruleset
  /** Of services that are written without one. */
  readonly namespace: string
  readonly surroundings: Surroundings
}

/** Who calls. */
export type ScenarioCaller = Facts['caller'] & {
  /** Undefined outside the mesh. */
  readonly spiffeId: SpiffeId | undefined
}

/**
 * The caller that a text names: a service by its first identity, or a SPIFFE ID.
 * Fails with `client_unknown` or `client_spiffe_id_malformed`.
 */
export function callerOf(
  text: string,
  { ruleset, namespace, surroundings }: Scene,
): Result<ScenarioCaller> {
  if (text.startsWith('spiffe://')) {
    const id = parseSpiffeId(text)
    if (id === undefined) return fail('client_spiffe_id_malformed')
    const service = ruleset.serviceOf(id)
    if (service === undefined) return fail('client_unknown', 'no service has this identity')
    return ok({ service, id, iss: undefined, spiffeId: id })
  }
  const service = ruleset.services.get(fullName(text, namespace))
  if (service === undefined) return fail('client_unknown', 'there is no such service')
  if (service.clientKeysFile !== undefined) {
    return ok({ service, id: service.name, iss: surroundings.issuer, spiffeId: undefined })
  }
  const id = identityOf(service)
  if (id === undefined)
    return fail('client_unknown', `${service.name} is external: it calls nobody`)
  return ok({ service, id, iss: undefined, spiffeId: id })
}

/** One workload of a service: of its first identity, with the service's name for each `*`. */
function identityOf({ identities, name, namespace }: Service): SpiffeId | undefined {
  return parseSpiffeId((identities[0] ?? '').replaceAll('*', name.slice(namespace.length + 1)))
}

/** The `sub` that a text means: of a service its client id, else the text itself. */
export function subOf(text: string, { ruleset, namespace }: Omit<Scene, 'surroundings'>): string {
  const service = ruleset.services.get(fullName(text, namespace))
  if (service === undefined) return text
  return service.clientKeysFile === undefined ? (identityOf(service) ?? text) : service.name
}

/** Reads what is asked as the token endpoint does. Fails with `audience_malformed` and the like. */
export function requestOf(entry: RequestEntry): Result<Facts['request']> {
  const form = new Map<string, readonly string[]>([
    ['grant_type', [TOKEN_EXCHANGE_GRANT]],
    ['subject_token', ['-']],
    ['subject_token_type', [TOKEN_TYPES.jwt]],
  ])
  for (const name of ['audience', 'resource', 'scope'] as const) {
    // An empty value counts as absent there.
    const values = [entry[name] ?? []].flat().filter((value) => value !== '')
    if (values.length > 0) form.set(name, values)
  }
  const parsed = parseTokenRequest(form)
  if (!parsed.ok) return parsed
  const { audiences, resources, scopes } = parsed.value
  return ok({ audiences, resources, scopes })
}
