// Owns expressions (CEL): which are taken, what they read, how they are evaluated. Pure and bounded.
// Must not decide what follows from a result.
import {
  type EvaluationError,
  ParseError,
  type ParseResult,
  TypeError as TypeFault,
} from '@marcbachmann/cel-js'
import { clip, printable } from '../../config/problem.ts'
import type { Facts } from '../decision.ts'
import {
  loopsOverClaims,
  MAX_CLAIM_VALUES,
  MAX_COST,
  MAX_LOOPED_CLAIM_VALUES,
  worstCostOf,
} from './cost.ts'
import { environment, variablesOf } from './environment.ts'
import { isConstant, needsOf } from './needs.ts'
import { readsOf } from './reads.ts'
import { type Fault, readTerms } from './syntax.ts'
import type { Term } from './terms.ts'
import { toJson, viewClaims } from './values.ts'

/** A checked expression of a rule file. */
export interface Expression {
  /** As written, without surrounding white space. */
  readonly source: string
  /** Names of subject claims that it reads (`subject.claims.<name>`), sorted. */
  readonly claims: readonly string[]
  /** Claims that it reads only behind `has()` or `in`, so that their absence is no error; a subset. */
  readonly guardedClaims: readonly string[]
  /** Claims without which it is never true; a subset. */
  readonly neededClaims: readonly string[]
  /** Whether it is never true without an actor token. */
  readonly needsActor: boolean
  /** Whether it reads nothing, and so is always the same. */
  readonly isConstant: boolean
  /** The most that evaluating it can cost, as a part of what one expression may cost. */
  readonly cost: number
  /** Evaluates against facts; never throws. */
  readonly evaluate: (facts: Facts) => ExpressionResult
}

/** An absent claim, a wrong type and the like are errors, never a value. */
export type ExpressionResult =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly message: string }

/** A condition must be true or false; a value must be JSON. */
export type ExpressionKind = 'condition' | 'value'

/** What an expression is, or what is wrong with it. */
export type CompiledExpression =
  | { readonly ok: true; readonly expression: Expression }
  | {
      readonly ok: false
      /** One line. */
      readonly message: string
      /** What was probably meant. */
      readonly suggestion?: string
      /** Characters into the source as it was given. */
      readonly offset: number
    }

/** Longer ones cannot be reviewed; it also bounds what parsing and every later walk can take. */
const MAX_SOURCE_CHARACTERS = 1_024
const MAX_MESSAGE_CHARACTERS = 200
/** How much of an expression a message shows. */
const MAX_SHOWN_CHARACTERS = 80

/** Compiles an expression of a rule file. Never throws. */
export function compileExpression(source: string, kind: ExpressionKind): CompiledExpression {
  const text = source.trim()
  const before = source.length - source.trimStart().length
  const checked = check(text, kind)
  if ('fault' in checked) {
    const { message, suggestion, offset } = checked.fault
    return {
      ok: false,
      message: oneLine(message, MAX_MESSAGE_CHARACTERS),
      ...(suggestion === undefined ? {} : { suggestion }),
      offset: before + Math.min(Math.max(offset, 0), text.length),
    }
  }
  const { term, run, cost } = checked
  const { claims, guarded } = readsOf(term)
  const needs = needsOf(term)
  const maxValues = loopsOverClaims(term) ? MAX_LOOPED_CLAIM_VALUES : MAX_CLAIM_VALUES
  return {
    ok: true,
    expression: Object.freeze({
      source: text,
      claims,
      guardedClaims: guarded,
      neededClaims: needs.claims,
      needsActor: needs.actor,
      isConstant: isConstant(term),
      cost: cost / MAX_COST,
      evaluate: (facts: Facts) => {
        const view = viewClaims(facts.subject.claims, claims, maxValues)
        if (!view.ok) return view
        const result = evaluate(run, text, variablesOf(facts, view.claims))
        return result.ok ? RESULTS[kind](result.value) : result
      },
    }),
  }
}

/** What a result must be. */
const RESULTS: Readonly<Record<ExpressionKind, (value: unknown) => ExpressionResult>> = {
  condition: (value) =>
    typeof value === 'boolean'
      ? { ok: true, value }
      : { ok: false, message: 'the result is neither true nor false' },
  value: toJson,
}

type Checked =
  | { readonly term: Term; readonly run: ParseResult; readonly cost: number }
  | { readonly fault: Fault }

/** The steps of a check, each of which relies on those before it. */
function check(text: string, kind: ExpressionKind): Checked {
  if (text === '') return { fault: { message: 'an expression is missing', offset: 0 } }
  if (text.length > MAX_SOURCE_CHARACTERS) {
    const message = `an expression has at most ${MAX_SOURCE_CHARACTERS} characters`
    return { fault: { message, offset: MAX_SOURCE_CHARACTERS } }
  }
  const parsed = parse(text)
  if ('fault' in parsed) return parsed
  const { run } = parsed
  const read = readTerms(run.ast)
  if ('fault' in read) return read
  const { valid, type = '', error } = run.check()
  if (!valid) return { fault: faultOf(error) }
  const wrong = wrongType(type, kind)
  if (wrong !== undefined) return { fault: { message: wrong, offset: 0 } }
  const cost = worstCostOf(read.term, text.length)
  if (cost > MAX_COST) return { fault: { message: TOO_EXPENSIVE, offset: 0 } }
  return { term: read.term, run, cost }
}

const TOO_EXPENSIVE =
  'could take too long over a large token: compare fewer lists, and do less inside loops'

function parse(text: string): { readonly run: ParseResult } | { readonly fault: Fault } {
  try {
    return { run: environment.parse(text) }
  } catch (error) {
    return { fault: faultOf(error) }
  }
}

function faultOf(error: unknown): Fault {
  return error instanceof ParseError || error instanceof TypeFault
    ? { message: named(error.summary), offset: error.range?.start ?? 0 }
    : { message: 'is no expression', offset: 0 }
}

/** Names as an admin knows them. */
const named = (message: string): string =>
  message
    .replaceAll('own_', '')
    .replaceAll('google.protobuf.', '')
    .replaceAll(/dyn<(\w+)>/g, '$1')

/** Types that a value of `ctx` cannot have; what is only known later is checked then. */
const NO_VALUES: ReadonlySet<string> = new Set([
  'null',
  'type',
  'google.protobuf.Timestamp',
  'google.protobuf.Duration',
])

function wrongType(type: string, kind: ExpressionKind): string | undefined {
  if (kind === 'value') {
    return NO_VALUES.has(type) ? `a claim cannot hold a ${named(type)}` : undefined
  }
  return type === 'bool' || type === 'dyn'
    ? undefined
    : `must be true or false, but is a ${named(type)}`
}

function evaluate(
  run: ParseResult,
  text: string,
  variables: Record<string, unknown>,
): ExpressionResult {
  // An error per item of a list is common in hostile tokens, and its stack costs more than all else.
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return { ok: true, value: run(variables) }
  } catch (error) {
    return { ok: false, message: explain(error, text) }
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

/** Errors whose text names types and operators only; others could quote a claim (P7). */
const TYPE_ERRORS: ReadonlySet<string> = new Set([
  'no_such_overload',
  'no_matching_overload',
  'invalid_logical_operand',
  'invalid_condition_type',
])

/** Which part of the expression failed, in the words of the rule file, and why. */
function explain(error: unknown, text: string): string {
  const { node, code, summary } = error as Partial<EvaluationError>
  const why =
    code !== undefined && TYPE_ERRORS.has(code)
      ? named(summary ?? '')
      : (WHY[code ?? ''] ?? 'cannot be evaluated')
  const part = node === undefined ? text : text.slice(node.start, node.end)
  return `${oneLine(part, MAX_SHOWN_CHARACTERS)}: ${oneLine(why, MAX_MESSAGE_CHARACTERS)}`
}

const WHY: Readonly<Record<string, string>> = {
  no_such_key: 'is absent',
  index_out_of_bounds: 'is absent',
  conversion_error: 'cannot be converted',
  numeric_overflow: 'is out of range',
  division_by_zero: 'divides by zero',
  modulo_by_zero: 'divides by zero',
  invalid_comprehension_range: 'is no list or map',
}

const oneLine = (text: string, max: number): string =>
  clip(printable(text.replaceAll(/\s+/g, ' ')), max)
