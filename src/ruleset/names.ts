// Owns how names and audiences of services are read and which of them would be taken for one another.
// Must not know rules or files.

/** Completes `name` to `namespace/name`; a full name stays as it is. */
export const fullName = (reference: string, namespace: string): string =>
  reference.includes('/') ? reference : `${namespace}/${reference}`

/** A bare or full service name: such a text can never be an audience, so the two never collide. */
const SERVICE_NAME = /^[a-z0-9-]+(?:\/[a-z0-9-]+)?$/

/** Whether an audience could be mistaken for a service's name. */
export const looksLikeServiceName = (audience: string): boolean => SERVICE_NAME.test(audience)

/**
 * What Envoy compares of an audience: one leading `http://` or `https://` and one trailing `/` are cut
 * off on both sides (run on Envoy 1.36–1.40), so two audiences equal after that are one to a sidecar.
 */
export function envoyAudience(audience: string): string {
  const rest = audience.replace(/^https?:\/\//, '')
  return rest.endsWith('/') ? rest.slice(0, -1) : rest
}

/** What a reader, or software that normalises URIs, takes an audience for: no scheme, case or default port. */
export const readAudience = (audience: string): string =>
  skeleton(envoyAudience(audience.toLowerCase()).replace(/:(?:80|443)(?=\/|$)/, ''))

const LOOK_ALIKES: readonly (readonly [string, string])[] = [
  ['0', 'o'],
  ['1', 'l'],
  ['rn', 'm'],
  ['vv', 'w'],
  ['_', '-'],
]

/** A form in which names that a tired reader takes for one another are equal (after UTS #39 skeletons). */
export function skeleton(name: string): string {
  let form = name.toLowerCase()
  for (const [one, other] of LOOK_ALIKES) form = form.replaceAll(one, other)
  return form
}
