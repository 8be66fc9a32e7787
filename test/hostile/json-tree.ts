// Owns JSON as it is written: repeated members, odd escapes and numbers that no value could hold.
// Must not know what the JSON is for.
import type { Random } from './random.ts'
import { NASTY_TEXTS, nastyText } from './text-mutations.ts'

/** A value as written; `raw` stands as it is, valid or not. */
export type JsonTree =
  | { readonly kind: 'raw'; readonly text: string }
  | { readonly kind: 'list'; readonly items: readonly JsonTree[] }
  | { readonly kind: 'object'; readonly members: readonly Member[] }

/** The name as written, quotes included. */
type Member = readonly [name: string, value: JsonTree]

const raw = (text: string): JsonTree => ({ kind: 'raw', text })

/** The tree of a value. */
export function treeOf(value: unknown): JsonTree {
  if (Array.isArray(value)) return { kind: 'list', items: value.map(treeOf) }
  if (typeof value !== 'object' || value === null) return raw(JSON.stringify(value) ?? 'null')
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  return {
    kind: 'object',
    members: members.map(([name, member]) => [JSON.stringify(name), treeOf(member)]),
  }
}

/** Writes a tree. */
export function print(tree: JsonTree): string {
  switch (tree.kind) {
    case 'raw':
      return tree.text
    case 'list':
      return `[${tree.items.map(print).join(',')}]`
    case 'object':
      return `{${tree.members.map(([name, value]) => `${name}:${print(value)}`).join(',')}}`
  }
}

/** Values that are one thing to a careful reader and another to a careless one. */
const NASTY_VALUES: readonly string[] = [
  'null',
  'true',
  'false',
  '0',
  '-0',
  '-1',
  '1.5',
  '1e400',
  '-1e400',
  '1E2',
  '1e-400',
  '9007199254740993',
  '123456789012345678901234567890',
  '253402300800',
  '01',
  '+1',
  '.5',
  '1.',
  'NaN',
  'Infinity',
  'undefined',
  '""',
  '"\\u0000"',
  '"a\\nb"',
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '"\\udc00\\udc00"',
  '"\\ud800\\ud800"',
  '"\\ud83d\\ude00"',
  '"\\u202e"',
  '"\\u0085"',
  '"\\uFEFF"',
  '"\\x41"',
  '"\\u00g0"',
  '"\t"',
  "'a'",
  '[]',
  '{}',
  '[[]]',
  '[null]',
  '["a","a"]',
  '{"a":1,"a":2}',
  '{"__proto__":{"admin":true}}',
  '{"constructor":{"prototype":{"admin":true}}}',
  '{"sub":"x"}',
  '{"sub":"x","act":{"sub":"y"}}',
  '{"sub":"x","iss":"https://sts.boutique.example"}',
  '{"sub":1}',
]

/** A run of nested collections, at times deeper than any cap. */
const nested = (random: Random): string => {
  const depth = random.pick([2, 7, 9, 11, 30, 33, 200])
  return random.chance(0.5)
    ? `${'['.repeat(depth)}${']'.repeat(depth)}`
    : `${'{"act":'.repeat(depth)}{"sub":"z"}${'}'.repeat(depth)}`
}

function nastyValue(random: Random): JsonTree {
  if (random.chance(0.05)) return raw(nested(random))
  if (random.chance(0.3)) return raw(JSON.stringify(nastyText(random)))
  return raw(random.pick(NASTY_VALUES))
}

/** The same name, written otherwise: `"\u0073ub"`. */
function escaped(name: string): string {
  const first = name.charCodeAt(1)
  return Number.isNaN(first) || name.length < 3 || first === 0x5c
    ? name
    : `"\\u${first.toString(16).padStart(4, '0')}${name.slice(2)}`
}

const replaced = <T>(list: readonly T[], index: number, ...by: readonly T[]): T[] => [
  ...list.slice(0, index),
  ...by,
  ...list.slice(index + 1),
]

/** Names that mean something to somebody, and those that mean something to JavaScript. */
const NAMES: readonly string[] = [
  ...['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'scope', 'act', 'may_act', 'cnf'],
  ...['client_id', 'chain', 'embedded', 'email', 'risk', 'groups', 'phone', 'azp'],
  ...['alg', 'kid', 'typ', 'crit', 'b64', 'jwk', 'jku', 'x5u', 'x5c', 'zip', 'cty'],
  ...['kty', 'crv', 'x', 'y', 'n', 'e', 'd', 'k', 'use', 'key_ops', 'keys'],
  ...['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '', 'a.b', 'ſub'],
]

function mutateObject(members: readonly Member[], random: Random): JsonTree {
  const index = random.below(Math.max(1, members.length))
  const chosen = members[index]
  if (chosen === undefined || random.chance(0.2)) {
    const name = JSON.stringify(random.chance(0.9) ? random.pick(NAMES) : random.pick(NASTY_TEXTS))
    return { kind: 'object', members: [...members, [name, nastyValue(random)]] }
  }
  const [name, value] = chosen
  switch (random.below(8)) {
    case 0:
      return { kind: 'object', members: replaced(members, index) }
    case 1:
      return { kind: 'object', members: [...members, [name, nastyValue(random)]] }
    case 2:
      return { kind: 'object', members: [...members, [escaped(name), value]] }
    case 3:
      return { kind: 'object', members: replaced(members, index, [escaped(name), value]) }
    case 4: {
      const renamed = JSON.stringify(random.pick(NAMES))
      return { kind: 'object', members: replaced(members, index, [renamed, value]) }
    }
    case 5: {
      const wrapped: JsonTree = { kind: 'list', items: [value] }
      return { kind: 'object', members: replaced(members, index, [name, wrapped]) }
    }
    case 6:
      return {
        kind: 'object',
        members: replaced(members, index, [name, mutateTree(value, random)]),
      }
    default:
      return { kind: 'object', members: replaced(members, index, [name, nastyValue(random)]) }
  }
}

function mutateList(items: readonly JsonTree[], random: Random): JsonTree {
  const index = random.below(Math.max(1, items.length))
  const chosen = items[index]
  if (chosen === undefined) return { kind: 'list', items: [nastyValue(random)] }
  switch (random.below(5)) {
    case 0:
      return { kind: 'list', items: replaced(items, index) }
    case 1:
      return { kind: 'list', items: replaced(items, index, chosen, chosen) }
    case 2:
      return { kind: 'list', items: replaced(items, index, nastyValue(random)) }
    case 3:
      return chosen
    default:
      return { kind: 'list', items: replaced(items, index, mutateTree(chosen, random)) }
  }
}

/** Changes one thing of a tree, mostly at its top. */
export function mutateTree(tree: JsonTree, random: Random): JsonTree {
  switch (tree.kind) {
    case 'raw':
      return nastyValue(random)
    case 'list':
      return mutateList(tree.items, random)
    case 'object':
      return mutateObject(tree.members, random)
  }
}
