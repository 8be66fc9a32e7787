// Owns which service a SPIFFE ID belongs to: exact identities, and patterns in which `*` is one segment.
// Must not accept a pattern that spans a `/` or the trust domain (field: patterns that escape their anchor).
import { parseSpiffeId, type SpiffeId } from '../clients/spiffe-id.ts'

/** A parsed identity pattern. */
export interface IdentityPattern {
  readonly text: string
  readonly trustDomain: string
  readonly isExact: boolean
  readonly segments: readonly string[]
}

/** Parses an identity pattern; `*` stands for exactly one whole segment. Undefined where it is none. */
export function parseIdentityPattern(text: string): IdentityPattern | undefined {
  // A pattern is a SPIFFE ID once each star is replaced by an ordinary segment.
  const star = '0star0'
  if (text.includes(star)) return undefined
  const id = parseSpiffeId(text.replaceAll('/*', `/${star}`))
  if (id === undefined) return undefined
  const [trustDomain = '', ...segments] = id.slice('spiffe://'.length).split('/')
  const isPartial = (segment: string) => segment.includes(star) && segment !== star
  if (trustDomain.includes(star) || segments.some(isPartial)) return undefined
  return {
    text,
    trustDomain,
    isExact: !text.includes('*'),
    segments: segments.map((segment) => (segment === star ? '*' : segment)),
  }
}

interface Node<T> {
  readonly children: Map<string, Node<T>>
  owner: T | undefined
}

/** Identities of one trust domain and their owners. */
export interface IdentityIndex<T> {
  /** Adds a pattern; gives an owner whose identities it meets, or undefined where there is none. */
  readonly add: (pattern: IdentityPattern, owner: T) => T | undefined
  readonly find: (id: SpiffeId) => T | undefined
}

/** Makes an empty index. Look-ups cost at most two steps per path segment where no stars are used. */
export function createIdentityIndex<T>(): IdentityIndex<T> {
  const root: Node<T> = { children: new Map(), owner: undefined }
  const exact = new Map<string, T>()
  let hasPatterns = false
  return {
    add(pattern, owner) {
      const met = meets(root, [pattern.trustDomain, ...pattern.segments], 0)
      let node = root
      for (const segment of [pattern.trustDomain, ...pattern.segments]) {
        let child = node.children.get(segment)
        if (child === undefined) {
          child = { children: new Map(), owner: undefined }
          node.children.set(segment, child)
        }
        node = child
      }
      node.owner ??= owner
      if (pattern.isExact) exact.set(pattern.text, owner)
      else hasPatterns = true
      return met
    },
    find(id) {
      const owner = exact.get(id)
      if (owner !== undefined || !hasPatterns) return owner
      return match(root, id.slice('spiffe://'.length).split('/'), 0)
    },
  }
}

function match<T>(node: Node<T>, segments: readonly string[], at: number): T | undefined {
  const segment = segments[at]
  if (segment === undefined) return node.owner
  const named = node.children.get(segment)
  const owner = named === undefined ? undefined : match(named, segments, at + 1)
  if (owner !== undefined) return owner
  const starred = node.children.get('*')
  return starred === undefined ? undefined : match(starred, segments, at + 1)
}

/** An owner of an identity that some pattern in the tree and this one have in common. */
function meets<T>(node: Node<T>, segments: readonly string[], at: number): T | undefined {
  const segment = segments[at]
  if (segment === undefined) return node.owner
  if (segment === '*') {
    for (const child of node.children.values()) {
      const owner = meets(child, segments, at + 1)
      if (owner !== undefined) return owner
    }
    return undefined
  }
  for (const key of [segment, '*']) {
    const child = node.children.get(key)
    const owner = child === undefined ? undefined : meets(child, segments, at + 1)
    if (owner !== undefined) return owner
  }
  return undefined
}
