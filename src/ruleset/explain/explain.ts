// Owns the explanation of an exchange: how it ends, and what would have to be different where it is denied (P10).
// Must decide by rehearsal.ts only, which runs the live functions.
import { type Failure, WIRE, type WireAnswer } from '../../oauth/reasons.ts'
import { SELF } from '../../subjects/subject.ts'
import type { TailorOrder } from '../../tokens/tailor.ts'
import type { Evaluate } from '../decision.ts'
import { withRule } from '../edit.ts'
import { type Refusal, type Rehearsal, rehearse, rehearseOrder } from '../rehearse/rehearsal.ts'
import type { ScenarioEntry, Scene } from '../rehearse/scenario.ts'
import { repairOf } from './repair.ts'
import { type Change, inRuleset, type Repair, stop } from './repair-case.ts'
import { list } from './repair-words.ts'

/** An exchange, its end, and the way to another one. */
export interface Explanation {
  readonly rehearsal: Rehearsal
  /** What a caller is told; undefined where it is granted. */
  readonly wire: WireAnswer | undefined
  /** What would have to be different, in the order in which it would be noticed. */
  readonly changes: readonly Change[]
  /** Whether all changes together would do; false where nobody can know what would come after them. */
  readonly suffices: boolean
}

/** More than any way through a decision has steps. */
const MAX_CHANGES = 32

/** Explains a written request. */
export const explain = (entry: ScenarioEntry, scene: Scene): Explanation =>
  explainRehearsal(rehearse(entry, scene), scene)

/** Explains an exchange that was run; `evaluate` is how its expressions were evaluated. */
export function explainRehearsal(
  rehearsal: Rehearsal,
  scene: Pick<Scene, 'ruleset' | 'surroundings'>,
  evaluate?: Evaluate,
): Explanation {
  const { result, refusals, order } = rehearsal
  const wire = result.ok ? undefined : WIRE[result.reason]
  const before = refusals.map((refusal) => changeBefore(refusal, order))
  if (order === undefined) return { rehearsal, wire, changes: before, suffices: false }
  const decided = refusals.length === 0 ? rehearsal : rehearseOrder(order, scene, evaluate)
  const { changes, suffices } = changesAfter(decided, scene, evaluate)
  return { rehearsal, wire, changes: [...before, ...changes], suffices }
}

interface Changes {
  readonly changes: readonly Change[]
  readonly suffices: boolean
}

/** Goes on as if what failed were repaired, until it is granted or nobody can know. */
function changesAfter(
  first: Rehearsal,
  scene: Pick<Scene, 'ruleset' | 'surroundings'>,
  evaluate: Evaluate | undefined,
): Changes {
  const changes: Change[] = []
  let current = first
  let { ruleset } = scene
  while (!current.result.ok && changes.length < MAX_CHANGES) {
    const around = { ...scene, ruleset }
    const inner = innerChanges(current, around, evaluate)
    changes.push(...(inner?.changes ?? []))
    if (inner?.suffices === false) return { changes, suffices: false }
    const repair = inner?.repair ?? nextRepair(current, current.result, around)
    if (inner === undefined) changes.push(repair.change)
    if (repair.after === undefined) return { changes, suffices: false }
    ruleset = repair.after.ruleset
    current = rehearseOrder(repair.after.order, { ...scene, ruleset }, evaluate)
  }
  return { changes, suffices: current.result.ok }
}

function nextRepair(
  { order, tailored }: Rehearsal,
  failure: Failure,
  { ruleset }: Pick<Scene, 'ruleset'>,
): Repair {
  const decision = tailored?.decision
  if (order === undefined || decision === undefined)
    return stop(`\`${failure.reason}\` must not be`)
  if (decision.allow) return stop(mintChange(failure), decision.target.name)
  return repairOf({ ruleset, order }, decision)
}

/** What a token that is required inside would need, and the exchange as if it were not required. */
function innerChanges(
  { order, tailored }: Rehearsal,
  scene: Pick<Scene, 'ruleset' | 'surroundings'>,
  evaluate: Evaluate | undefined,
): (Changes & { readonly repair: Repair }) | undefined {
  if (tailored?.outcome !== 'denied' || order === undefined || !tailored.decision.allow)
    return undefined
  const [child] = tailored.children
  if (child === undefined) return undefined
  const { target, rule } = tailored.decision
  const { changes, suffices } = changesAfter(
    rehearseOrder(child.order, scene, evaluate),
    scene,
    evaluate,
  )
  const embed = rule.embed.filter((one) => one !== child.embed)
  const edited = withRule(scene.ruleset, target.name, rule, { embed })
  const told = changes.map(({ what, at }) => ({
    what: `for the required token for \`${child.embed.to}\`: ${what}`,
    at,
  }))
  const change = { what: 'the required token must be allowed', at: rule.id }
  return { changes: told, suffices, repair: { change, after: inRuleset(order, edited) } }
}

function mintChange({ reason, detail }: Failure): string {
  switch (reason) {
    case 'mint_claim_malformed':
      return `claim \`${detail}\` must have a value that can be passed on, or the target not list it`
    case 'mint_token_too_large':
      return `the token must be smaller (${detail}): fewer claims, less inside, or a larger \`tokens.max_size\``
    case 'mint_subject_expiring':
      return 'the tokens that are handed in must live for a second more'
    case 'act_chain_too_deep':
      return 'fewer services must act one after the other'
    default:
      return `\`${reason}\` must not be: ${detail ?? ''}`
  }
}

/** What was refused before there was anything to decide is not a matter of rules. */
function changeBefore({ failure }: Refusal, order: TailorOrder | undefined): Change {
  const { reason, detail } = failure
  if (order !== undefined && reason === 'subject_token_presenter_not_allowed') {
    return presenterChange('subject', order.subject.issuer, order.subject.audiences, order)
  }
  if (order?.actor !== undefined && reason === 'actor_token_presenter_not_allowed') {
    return presenterChange('actor', order.actor.issuer, undefined, order)
  }
  const what =
    detail === undefined ? `\`${reason}\` must not be` : `\`${reason}\` must not be: ${detail}`
  return { what, at: undefined }
}

function presenterChange(
  role: 'subject' | 'actor',
  issuer: string,
  audiences: readonly string[] | undefined,
  { caller: { service } }: TailorOrder,
): Change {
  const which = audiences === undefined ? '' : ` (${list(audiences)})`
  const what =
    issuer === SELF
      ? `the ${role} token must have been issued for \`${service.name}\`: its audience${which} is not \`${service.audience}\``
      : `the issuers file must let \`${service.name}\` present tokens of \`${issuer}\`: \`presented_by\`, under an audience of the token${which}`
  return { what, at: undefined }
}
