// Owns the language of expressions: the part of CEL that is taken, as terms that later steps walk.
// Must not check types or evaluate; what is not a term here never reaches the evaluator.
import type { ASTNode } from '@marcbachmann/cel-js'
import { nearest } from '../../config/problem.ts'
import {
  FUNCTIONS,
  isInt,
  METHODS,
  OWN_FUNCTIONS,
  parseDuration,
  parseTimestamp,
  VARIABLES,
} from './environment.ts'
import { contains, isGiven, isMapLoop, partsOf, type Term } from './terms.ts'

/** What is wrong with an expression, and where. */
export interface Fault {
  readonly message: string
  readonly suggestion?: string | undefined
  /** Characters into the trimmed source. */
  readonly offset: number
}

/** Loops inside loops cost their product; a third level is never needed for claims. */
const MAX_LOOPS = 2
/** No authority is read from what is computed or embedded; and embedded tokens are whole tokens. */
const UNREADABLE_CLAIMS: ReadonlySet<string> = new Set(['ctx', 'embedded'])
/** Loops with the number of their arguments. */
const LOOPS: ReadonlyMap<string, readonly number[]> = new Map([
  ['all', [2]],
  ['exists', [2]],
  ['exists_one', [2]],
  ['filter', [2]],
  ['map', [2, 3]],
])
/** Members of maps that the library drops in silence. */
const DROPPED_KEYS: ReadonlySet<unknown> = new Set(['__proto__', 'constructor', 'prototype'])

const NAMES: readonly string[] = [...Object.keys(VARIABLES), 'now']

const membersOf = (variable: string): readonly string[] =>
  Object.hasOwn(VARIABLES, variable)
    ? Object.keys(VARIABLES[variable as keyof typeof VARIABLES])
    : []

/** What a part is read with: the variables of the loops around it, and where faults are told. */
interface Reader {
  readonly variables: readonly string[]
  readonly faults: Fault[]
}

/** Reads a parsed expression. Gives its terms, or the first fault. */
export function readTerms(root: ASTNode): { readonly term: Term } | { readonly fault: Fault } {
  const faults: Fault[] = []
  const term = read(root, { variables: [], faults })
  const [fault] = faults
  return fault === undefined ? { term } : { fault }
}

/** Tells a fault and gives something to go on with. */
function refuse(
  node: ASTNode,
  { faults }: Reader,
  message: string,
  suggestion?: string | undefined,
  offset: number = node.start,
): Term {
  faults.push({ message, suggestion, offset })
  return { node, kind: 'literal', value: null }
}

function read(node: ASTNode, reader: Reader): Term {
  switch (node.op) {
    case 'value':
      return readLiteral(node, reader)
    case 'id':
      return readName(node, reader)
    case '.':
    case '[]':
      return readMember(node, reader)
    case 'call':
      return readCall(node, reader)
    case 'rcall':
      return readMethod(node, reader)
    case 'list':
      return { node, kind: 'list', parts: node.args.map((item) => read(item, reader)) }
    case 'map':
      return readMap(node, reader)
    default:
      return readOperation(node, reader)
  }
}

function readLiteral(node: Extract<ASTNode, { op: 'value' }>, reader: Reader): Term {
  const value = node.args
  if (typeof value === 'object' && value !== null) {
    return refuse(node, reader, 'bytes and unsigned integers are not available')
  }
  if (typeof value === 'bigint' && !isInt(value)) {
    return refuse(node, reader, 'an integer has at most 64 bits')
  }
  return { node, kind: 'literal', value }
}

function readName(node: Extract<ASTNode, { op: 'id' }>, reader: Reader): Term {
  const name = node.args
  if (reader.variables.includes(name)) return { node, kind: 'variable', name }
  if (name === 'now') return { node, kind: 'fact', fact: name }
  const members = membersOf(name)
  if (members.length > 0) {
    return refuse(node, reader, `${name} is no value; its members are ${members.join(', ')}`)
  }
  return refuse(node, reader, `${name} is not known`, suggestName(name, reader))
}

/** A variable that is spelt alike, or the member of one that has this name. */
function suggestName(name: string, { variables }: Reader): string | undefined {
  const owner = Object.keys(VARIABLES).find((variable) => membersOf(variable).includes(name))
  return owner === undefined ? nearest(name, [...NAMES, ...variables]) : `${owner}.${name}`
}

type Access = Extract<ASTNode, { op: '.' | '[]' }>

function readMember(node: Access, reader: Reader): Term {
  const claim = claimOf(node, reader)
  if (claim !== undefined) return claim
  const fact = factOf(node, reader)
  if (fact !== undefined) return fact
  const of = read(node.args[0], reader)
  if (of.kind === 'fact' && of.fact === 'now') {
    const message = 'now has no members; its parts are read as in now.getHours()'
    return refuse(node, reader, message, undefined, node.args[0].end)
  }
  return {
    node,
    kind: 'member',
    parts: node.op === '[]' ? [of, read(node.args[1], reader)] : [of],
  }
}

/** `subject.claims` itself: no value, so that what is read of it is known when it is loaded. */
const isClaims = (node: ASTNode): boolean =>
  node.op === '.' &&
  node.args[1] === 'claims' &&
  node.args[0].op === 'id' &&
  node.args[0].args === 'subject'

/** `subject.claims.email`, `subject.claims["a.b"]`; undefined where the node is something else. */
function claimOf(node: Access, reader: Reader): Term | undefined {
  if (!isClaims(node.args[0])) return undefined
  if (node.op === '.') return readClaim(node, 'claim', node.args[1], node.pos, reader)
  const key = node.args[1]
  if (key.op !== 'value' || typeof key.args !== 'string') {
    return refuse(key, reader, 'a claim is read by a name that is written out')
  }
  return readClaim(node, 'claim', key.args, key.start, reader)
}

function readClaim(
  node: ASTNode,
  kind: 'claim' | 'claim_test',
  claim: string,
  offset: number,
  reader: Reader,
): Term {
  if (UNREADABLE_CLAIMS.has(claim)) {
    return refuse(node, reader, `no authority is read from the claim ${claim}`, undefined, offset)
  }
  return { node, kind, claim }
}

/** `subject.sub`; undefined where the node is no member of a variable. */
function factOf(node: Access, reader: Reader): Term | undefined {
  const [owner, member] = node.args
  if (owner.op !== 'id' || reader.variables.includes(owner.args)) return undefined
  const members = membersOf(owner.args)
  if (members.length === 0) return undefined
  if (typeof member !== 'string') {
    return refuse(node, reader, `a member of ${owner.args} is written ${owner.args}.${members[0]}`)
  }
  if (isClaims(node)) {
    const message = 'a claim is read by its name, as in subject.claims.email'
    return refuse(node, reader, message, undefined, node.pos)
  }
  if (members.includes(member)) return { node, kind: 'fact', fact: `${owner.args}.${member}` }
  const message = `${owner.args} has no member ${member}`
  return refuse(node, reader, message, nearest(member, members), node.pos)
}

function readCall(node: Extract<ASTNode, { op: 'call' }>, reader: Reader): Term {
  const [name, args] = node.args
  if (name === 'has') return readHas(node, args, reader)
  if (!FUNCTIONS.includes(name)) return refuseFunction(node, name, FUNCTIONS, node.start, reader)
  const [first] = args
  if (first?.op === 'value' && typeof first.args === 'string') {
    if (name === 'timestamp' && parseTimestamp(first.args) === undefined) {
      return refuse(first, reader, 'no timestamp; one is written "2026-01-31T08:00:00Z"')
    }
    if (name === 'duration' && parseDuration(first.args) === undefined) {
      return refuse(first, reader, 'no duration; one is written "1h30m"; units are h, m, s and ms')
    }
  }
  node.args[0] = OWN_FUNCTIONS.get(name) ?? name
  return { node, kind: 'call', name, parts: args.map((arg) => read(arg, reader)) }
}

function refuseFunction(
  node: ASTNode,
  name: string,
  known: readonly string[],
  offset: number,
  reader: Reader,
): Term {
  const message =
    name === 'matches'
      ? 'regular expressions are not available: use startsWith, endsWith, contains or in'
      : `the function ${name} is not available`
  return refuse(node, reader, message, nearest(name, known), offset)
}

const HAS_FORM = 'has() takes a member, as in has(subject.claims.email)'

/** The library checks nothing inside `has()` but its first name. */
function readHas(node: ASTNode, args: readonly ASTNode[], reader: Reader): Term {
  const [tested] = args
  if (tested?.op !== '.' || args.length !== 1) return refuse(node, reader, HAS_FORM)
  const [owner, member] = tested.args
  if (isClaims(owner)) return readClaim(node, 'claim_test', member, tested.pos, reader)
  const fact = factOf(tested, reader)
  if (fact !== undefined) return fact.kind === 'fact' ? { ...fact, kind: 'fact_test', node } : fact
  const of = read(owner, reader)
  if (isPath(of)) return { node, kind: 'member_test', parts: [of] }
  return refuse(owner, reader, HAS_FORM)
}

/** A claim or a loop's variable, or members of them by name: what `has()` looks into. */
const isPath = (term: Term): boolean =>
  term.kind === 'claim' || term.kind === 'member'
    ? term.node.op === '.' && partsOf(term).every(isPath)
    : term.kind === 'variable'

function readMethod(node: Extract<ASTNode, { op: 'rcall' }>, reader: Reader): Term {
  const [name, receiver, args] = node.args
  const counts = LOOPS.get(name)
  const offset = receiver.end
  if (counts !== undefined) {
    if (counts.includes(args.length)) return readLoop(node, reader)
    const message = `${name}() takes a variable and what is said of it, as in ${name}(x, x != "")`
    return refuse(node, reader, message, undefined, offset)
  }
  if (!METHODS.includes(name)) {
    return refuseFunction(node, name, [...METHODS, ...LOOPS.keys()], offset, reader)
  }
  if (name.startsWith('get') && args.length > 0) {
    return refuse(node, reader, `${name}() takes no time zone: it is UTC`, undefined, offset)
  }
  node.args[0] = OWN_FUNCTIONS.get(name) ?? name
  const parts = [receiver, ...args].map((part) => read(part, reader))
  return { node, kind: 'call', name, parts }
}

function readLoop(node: Extract<ASTNode, { op: 'rcall' }>, reader: Reader): Term {
  const [name, receiver, [variable, ...bodies]] = node.args
  if (variable?.op !== 'id') {
    return refuse(variable ?? node, reader, `the variable of ${name}() is a name`)
  }
  if (NAMES.includes(variable.args) || reader.variables.includes(variable.args)) {
    return refuse(variable, reader, `the name ${variable.args} is taken`)
  }
  if (reader.variables.length >= MAX_LOOPS) {
    return refuse(node, reader, `at most ${MAX_LOOPS} loops stand inside one another`)
  }
  const range = read(receiver, reader)
  // What a loop made is never looped over: values would double with every step.
  if (contains(range, isMapLoop)) {
    return refuse(receiver, reader, 'what map() gives is not looped over')
  }
  if (reader.variables.length > 0 && !isGiven(range)) {
    return refuse(receiver, reader, 'a loop inside a loop goes over a claim, a member or constants')
  }
  const inside = { ...reader, variables: [...reader.variables, variable.args] }
  return {
    node,
    kind: 'loop',
    name,
    variable: variable.args,
    range,
    bodies: bodies.map((body) => read(body, inside)),
  }
}

function readMap(node: Extract<ASTNode, { op: 'map' }>, reader: Reader): Term {
  const keys = new Set<string>()
  for (const [key] of node.args) {
    if (key.op !== 'value' || typeof key.args !== 'string' || DROPPED_KEYS.has(key.args)) {
      return refuse(key, reader, 'a member of a map has a name that is written out, such as "name"')
    }
    if (keys.has(key.args)) return refuse(key, reader, `the member ${key.args} is repeated`)
    keys.add(key.args)
  }
  return { node, kind: 'map', parts: node.args.map(([, value]) => read(value, reader)) }
}

function readOperation(node: ASTNode, reader: Reader): Term {
  switch (node.op) {
    case '&&':
    case '||': {
      const [left, right] = node.args
      const kind = node.op === '&&' ? 'and' : 'or'
      return { node, kind, parts: [read(left, reader), read(right, reader)] }
    }
    case '!_':
      return { node, kind: 'not', parts: [read(node.args, reader)] }
    case '-_':
      return { node, kind: 'operation', name: node.op, parts: [read(node.args, reader)] }
    case '?:': {
      const [when, then, otherwise] = node.args
      const parts = [read(when, reader), read(then, reader), read(otherwise, reader)] as const
      return { node, kind: 'choice', parts }
    }
    case 'in':
      return readIn(node, reader)
    case '==':
    case '!=':
    case '<':
    case '<=':
    case '>':
    case '>=':
    case '+':
    case '-':
    case '*':
    case '/':
    case '%': {
      const parts = node.args.map((part) => read(part, reader))
      return { node, kind: 'operation', name: node.op, parts }
    }
    default:
      return refuse(node, reader, 'this form is not available')
  }
}

/** `"email" in subject.claims` tests for a claim; anything else is a search. */
function readIn(node: Extract<ASTNode, { op: 'in' }>, reader: Reader): Term {
  const [item, range] = node.args
  if (!isClaims(range)) {
    const parts = [read(item, reader), read(range, reader)]
    return { node, kind: 'operation', name: 'in', parts }
  }
  if (item.op === 'value' && typeof item.args === 'string') {
    return readClaim(node, 'claim_test', item.args, item.start, reader)
  }
  return refuse(item, reader, 'a claim is tested by a name that is written out')
}
