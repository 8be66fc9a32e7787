// Owns the check of rules that could be read: everything that is probably not meant, at once.
// Must not hold a check itself; each file here owns one matter.
import { byPlace, type Problem } from '../../config/problem.ts'
import type { Path } from '../compile/compilation.ts'
import type { WrittenRules } from '../load.ts'
import type { RuleProblem } from '../problem.ts'
import type { Rule, Ruleset, Service, ServiceName } from '../ruleset.ts'
import { type Budget, budgetsOf, checkBudgets } from './budget.ts'
import {
  byNamespace,
  type CheckContext,
  type Checking,
  callersOf,
  writtenServices,
} from './checking.ts'
import { checkClaims } from './claims.ts'
import { checkDenies } from './denies.ts'
import { checkEdges } from './edges.ts'
import { FINDINGS } from './findings.ts'
import { flowOf } from './flow.ts'
import { checkReachability } from './reachability.ts'
import { checkUnused } from './unused.ts'
import { applyWaivers } from './waivers.ts'
import { checkWidth } from './width.ts'

/** Nobody reads more at once, of errors and of warnings. */
const MAX_FINDINGS = 500

/** What was found, and what was found and waived with a reason. */
export interface CheckedRules {
  readonly findings: readonly Problem[]
  readonly waived: readonly WaivedProblem[]
  /** Empty where rules have errors. */
  readonly budgets: readonly Budget[]
  /** What could not be looked at, in words; undefined where all was. */
  readonly left: string | undefined
}

/** A warning that is right as it is, and why. */
export interface WaivedProblem extends Problem {
  readonly reason: string
}

/**
 * Checks rules against the deployment that they were compiled for. Where some have errors (`ruleset` is
 * undefined) the others are checked as far as they have nothing to do with those. What nobody could ever obtain
 * is looked for with `maxExchanges` tries.
 */
export function checkRules(
  { files, services, faults, locate }: WrittenRules,
  ruleset: Ruleset | undefined,
  context: CheckContext,
  maxExchanges?: number,
): CheckedRules {
  if (services === undefined) {
    return { findings: [], waived: [], budgets: [], left: 'everything else: a file cannot be read' }
  }
  const namespaces = byNamespace(services)
  const hidden = servicesNearFaults(services, namespaces, faultyServices(files, faults))
  const { report, found, isFull } = collectFindings(hidden)
  const written = writtenServices(files, services)
  const checking: Checking = { services, written, byNamespace: namespaces, context, report }
  const useless = checkEdges(checking)
  checkUnused(checking)
  const flow = flowOf(checking)
  checkClaims(checking, flow)
  checkDenies(checking, flow)
  checkWidth(checking)
  const budgets = ruleset === undefined ? [] : budgetsOf(checking)
  checkBudgets(checking, budgets)
  const left = checkWhole(checking, ruleset, useless, maxExchanges)
  const { problems, waived } = applyWaivers(files, found, left === undefined && !isFull())
  return {
    findings: problems.map(locate).sort(byPlace),
    waived: waived.map(({ problem, reason }) => ({ ...locate(problem), reason })).sort(byPlace),
    budgets,
    left,
  }
}

/** What could not be looked at. */
function checkWhole(
  checking: Checking,
  ruleset: Ruleset | undefined,
  useless: ReadonlySet<Rule>,
  maxExchanges: number | undefined,
): string | undefined {
  if (ruleset === undefined) return 'rules around the errors, and what nobody could ever obtain'
  const isComplete = checkReachability(checking, ruleset, useless, maxExchanges)
  return isComplete ? undefined : 'what nobody could ever obtain: there are too many ways to try'
}

interface Collection {
  readonly report: Checking['report']
  readonly found: readonly RuleProblem[]
  /** Whether something was not kept. */
  readonly isFull: () => boolean
}

function collectFindings(hidden: ReadonlySet<ServiceName>): Collection {
  const found: RuleProblem[] = []
  const counts = { error: 0, warning: 0 }
  const seen = new Set<string>()
  return {
    found,
    isFull: () => Math.max(counts.error, counts.warning) >= MAX_FINDINGS,
    report: (draft, path, id, message, suggestion) => {
      const { severity } = FINDINGS[id]
      const whole: Path = [...draft.path, ...path]
      // A list of callers is several rules, of which the same is said in the same place.
      const key = JSON.stringify([draft.file, whole, id])
      if (hidden.has(draft.name) || seen.has(key) || counts[severity] >= MAX_FINDINGS) return
      seen.add(key)
      counts[severity] += 1
      const hint = suggestion === undefined ? {} : { suggestion }
      found.push({ file: draft.file, path: whole, id, message, severity, ...hint })
    },
  }
}

const faultyServices = (
  files: WrittenRules['files'],
  faults: readonly RuleProblem[],
): ReadonlySet<ServiceName> =>
  new Set(faults.map(({ file, path }) => `${files[file]?.namespace}/${path[1]}`))

/** Services with an error, and those on the other side of their edges: of them half is not known. */
function servicesNearFaults(
  services: ReadonlyMap<ServiceName, Service>,
  namespaces: Checking['byNamespace'],
  faulty: ReadonlySet<ServiceName>,
): ReadonlySet<ServiceName> {
  const near = new Set(faulty)
  if (faulty.size === 0) return near
  const isFaulty = ({ name }: Service) => faulty.has(name)
  for (const { name, calls, rules } of services.values()) {
    const callsOne = [...calls].some((called) => faulty.has(called))
    const isCalledByOne = [...rules.values()].some(({ from }) =>
      callersOf({ services, byNamespace: namespaces }, from).some(isFaulty),
    )
    if (callsOne || isCalledByOne) near.add(name)
  }
  return near
}
