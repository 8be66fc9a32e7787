// Owns which entry of a draft a seen name leads to, and why it may lead to none.
// Must not know edges or denials; a name is never given an identity that another service has.
import { type SpiffeId, serviceAccountId } from '../../clients/spiffe-id.ts'
import { envoyAudience, readAudience, skeleton } from '../names.ts'
import type { Ruleset, ServiceName } from '../ruleset.ts'
import { namespaceOf, type SeenService } from './observed.ts'

/** What a draft is made for. */
export interface DraftContext {
  /** This deployment's own. */
  readonly trustDomain: string
  /** This deployment's own SPIFFE ID and issuer URL; no service may have them. */
  readonly ownIdentity: string | undefined
  readonly selfIss: string
  /** The rules that are there already; an empty ruleset where none are. */
  readonly ruleset: Ruleset
}

/** In force as it is; proposed, behind `#`; or there already, so that what is ticked goes into that entry. */
export type EntryStatus = 'drafted' | 'proposed' | 'existing'

/** What a seen name leads to. */
export type Place =
  | {
      readonly kind: 'entry'
      readonly name: ServiceName
      readonly status: EntryStatus
      /** Where it is not the default one. */
      readonly identity: SpiffeId | undefined
    }
  | { readonly kind: 'out'; readonly why: string }

/** Finds places; remembers the names that it gave one. */
export interface Places {
  /** By all that was seen of a name. */
  readonly ofSeen: (name: ServiceName, all: readonly SeenService[]) => Place
  /** Of a service that only denials show. */
  readonly ofAsked: (name: ServiceName, identity?: SpiffeId) => Place
}

/** Makes places against the rules that are there. */
export function createPlaces(context: DraftContext): Places {
  const { ruleset } = context
  /** Names by how they look, and by how their audiences do. */
  const looks = new Map<string, ServiceName>()
  const audiences = new Map<string, ServiceName>()
  for (const { name, audience } of ruleset.services.values()) {
    looks.set(skeleton(name), name)
    audiences.set(readAudience(audience), name)
  }

  const existing = (name: ServiceName): Place => ({
    kind: 'entry',
    name,
    status: 'existing',
    identity: undefined,
  })

  /** What would keep a file with this service from loading. */
  const conflictOf = (name: ServiceName, identity: SpiffeId | undefined): string | undefined => {
    const [namespace = '', short = ''] = name.split('/')
    const audience = `${short}.${namespace}`
    if (identity === context.ownIdentity) return 'it is this token service, which needs no rules'
    const alike = looks.get(skeleton(name))
    if (alike === name) return `there is a ${name} with another identity`
    if (alike !== undefined) return `it looks like ${alike}, and a ruleset cannot have both`
    const owner = identity && ruleset.serviceOf(identity)
    if (owner !== undefined) return `${identity} is ${owner.name} in your rules`
    if (envoyAudience(context.selfIss) === audience) {
      return `its audience would be ${audience}, the issuer URL of this token service`
    }
    const like = audiences.get(readAudience(audience))
    return like && `its audience ${audience} would look like that of ${like}`
  }

  const add = (name: ServiceName, status: EntryStatus, seen: SpiffeId | undefined): Place => {
    const usual = usualOf(name, context)
    const identity = seen ?? usual
    const why = conflictOf(name, identity)
    if (why !== undefined) return out(why)
    looks.set(skeleton(name), name)
    return { kind: 'entry', name, status, identity: identity === usual ? undefined : identity }
  }

  return {
    ofSeen(name, all) {
      const seen = new Set(
        all
          .filter(({ by }) => by === 'identity')
          .map((one) => one.identity ?? usualOf(name, context)),
      )
      const isNamed = all.some(({ by }) => by !== 'identity')
      const owners = new Set([...seen].map((id) => id && ruleset.serviceOf(id)?.name))
      if (isNamed && ruleset.services.has(name)) owners.add(name)
      const [owner, ...others] = owners
      if (others.length > 0) return out(`it was seen as ${listed(owners)}: which is it?`)
      if (owner !== undefined) return existing(owner)
      if (isNamed) seen.add(usualOf(name, context))
      const [identity] = seen
      return seen.size > 1
        ? out(`it was seen as ${listed(seen)}: are they one service?`)
        : add(name, 'drafted', identity)
    },
    ofAsked: (name, identity) =>
      identity === undefined && ruleset.services.has(name)
        ? existing(name)
        : add(name, 'proposed', identity),
  }
}

const out = (why: string): Place => ({ kind: 'out', why })

const usualOf = (name: ServiceName, { trustDomain }: DraftContext): SpiffeId | undefined =>
  serviceAccountId(trustDomain, namespaceOf(name), name.slice(name.indexOf('/') + 1))

const listed = (texts: ReadonlySet<string | undefined>): string =>
  [...texts].map((text) => text ?? 'a service that is not in your rules').join(' and as ')
