// Owns how the way of a decision looks in a terminal: each predicate that was looked at, in order.
// Must not know why it is shown.
import type { Facts } from '../../ruleset/decision.ts'
import type { TracedStep } from '../../ruleset/rehearse/rehearsal.ts'
import { alignTable } from '../table.ts'

const PASSED = '✓'
const FAILED = '✗'
/** In audit mode: it would have denied. */
const WOULD_DENY = '!'

/** Lines, each ended by a line feed; those of decisions on embedded tokens under a line that says so. */
export function traceText(trace: readonly TracedStep[], indent: string): string {
  const groups: { readonly facts: Facts; readonly steps: TracedStep[] }[] = []
  for (const traced of trace) {
    const last = groups.at(-1)
    if (last?.facts === traced.facts) last.steps.push(traced)
    else groups.push({ facts: traced.facts, steps: [traced] })
  }
  return groups
    .map(({ facts, steps }, at) => {
      const rows = steps.map((traced) => [`${indent}${markOf(traced)}`, ...wordsOf(traced, steps)])
      const target = facts.request.audiences.join(' ')
      const heading =
        at === 0 ? '' : `${indent}embedded: ${facts.caller.service.name} for ${target}\n`
      return heading + alignTable(rows)
    })
    .join('')
}

const markOf = ({ step }: TracedStep): string =>
  step.audited ? WOULD_DENY : step.passed ? PASSED : FAILED

/** The id of the rule stands once, that of a deny before its detail: neither is told again. */
function wordsOf({ step }: TracedStep, steps: readonly TracedStep[]): [string, string] {
  const rule = steps.find((one) => one.step.kind === 'rule')?.step.predicate
  const name = without(step.predicate, `${rule} `)
  const detail = without(step.detail, `${step.predicate}: `)
  return [name, step.audited ? `${detail} (mode: audit, so it did not count)` : detail]
}

const without = (text: string, prefix: string): string =>
  text.startsWith(prefix) ? text.slice(prefix.length) : text
