// Owns waivers: a warning that is right as it is, with the reason written down beside the rules.
// Must not find anything else.
import { nearest } from '../../config/problem.ts'
import type { RuleProblem } from '../problem.ts'
import type { RuleFile } from '../schema.ts'
import { FINDINGS, isFinding } from './findings.ts'

/** A finding that was waived, and why. */
export interface Waived {
  readonly problem: RuleProblem
  readonly reason: string
}

type Waiver = NonNullable<RuleFile['waivers']>[number]

/**
 * Takes out what is waived; tells of waivers that waive nothing that can be waived, and where all was looked
 * at, of those that waive nothing.
 */
export function applyWaivers(
  files: readonly RuleFile[],
  problems: readonly RuleProblem[],
  isComplete: boolean,
): { readonly problems: readonly RuleProblem[]; readonly waived: readonly Waived[] } {
  const rest: RuleProblem[] = []
  const waived: Waived[] = []
  const used = new Set<Waiver>()
  for (const problem of problems) {
    const waiver =
      problem.severity === 'warning'
        ? files[problem.file]?.waivers?.find((each) => waives(each, problem))
        : undefined
    if (waiver === undefined) rest.push(problem)
    else {
      used.add(waiver)
      waived.push({ problem, reason: waiver.reason })
    }
  }
  for (const [file, each] of files.entries()) {
    for (const [at, waiver] of (each.waivers ?? []).entries()) {
      const fault = faultOf(waiver, each, used.has(waiver) || !isComplete)
      if (fault === undefined) continue
      const { key, ...told } = fault
      rest.push({ file, path: ['waivers', at, key], severity: FINDINGS[told.id].severity, ...told })
    }
  }
  return { problems: rest, waived }
}

const waives = ({ finding, at }: Waiver, { id, path }: RuleProblem): boolean =>
  finding === id && (at === undefined || (path[0] === 'services' && path[1] === at))

interface Fault extends Pick<RuleProblem, 'message' | 'suggestion'> {
  readonly id: 'waiver-unknown' | 'waiver-of-error' | 'waiver-unused'
  readonly key: 'finding' | 'at'
}

function faultOf(
  { finding, at }: Waiver,
  { services }: RuleFile,
  isUsed: boolean,
): Fault | undefined {
  if (!isFinding(finding)) {
    const meant = nearest(finding, Object.keys(FINDINGS))
    const message = `there is no finding ${finding}`
    return { id: 'waiver-unknown', key: 'finding', message, ...(meant && { suggestion: meant }) }
  }
  if (at !== undefined && !Object.hasOwn(services, at)) {
    const meant = nearest(at, Object.keys(services))
    const message = `this file has no service ${at}`
    return { id: 'waiver-unknown', key: 'at', message, ...(meant && { suggestion: meant }) }
  }
  if (FINDINGS[finding].severity === 'error') {
    const message = `${finding} is an error, and an error cannot be waived`
    return { id: 'waiver-of-error', key: 'finding', message }
  }
  if (isUsed) return undefined
  return { id: 'waiver-unused', key: 'finding', message: `there is no ${finding} here any more` }
}
