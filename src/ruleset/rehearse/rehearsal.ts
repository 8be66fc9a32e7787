// Owns one exchange from a written request to its end, by the functions that the live pipeline calls (P6).
// Must stay pure; what it mints is signed by nobody.
import { type Failure, ok, type Result } from '../../oauth/reasons.ts'
import type { Subject } from '../../subjects/subject.ts'
import { type Minted, mint } from '../../tokens/mint.ts'
import { subjectOf, type Tailored, type TailorOrder, tailor } from '../../tokens/tailor.ts'
import type { Allow, Evaluate, Facts, Step } from '../decision.ts'
import { describedActor, describedSubject } from './described-token.ts'
import { callerOf, requestOf, type ScenarioEntry, type Scene } from './scenario.ts'
import { UNSIGNED_TOKEN_ID, unsignedMint } from './surroundings.ts'
import { DEFAULT_NOW } from './test-schema.ts'

/** How far an exchange came. */
export type RehearsalStage = 'client' | 'request' | 'subject' | 'actor' | 'decision' | 'mint'

/** What comes back: a token of ours, or the subject token itself. */
export type Granted =
  | { readonly kind: 'minted'; readonly decision: Allow; readonly minted: Minted }
  | { readonly kind: 'forwarded'; readonly decision: Allow; readonly subject: Subject }

/** A predicate that was looked at, and in which decision: that on an embedded token has facts of its own. */
export interface TracedStep {
  readonly step: Step
  readonly facts: Facts
}

/** One exchange and all that is known of it. */
export interface Rehearsal {
  readonly result: Result<Granted>
  readonly stage: RehearsalStage
  /** Why it was refused before anything was decided, in the order of the pipeline. */
  readonly refusals: readonly Refusal[]
  /** Undefined where there was nothing to decide on. */
  readonly order: TailorOrder | undefined
  readonly tailored: Tailored | undefined
  readonly trace: readonly TracedStep[]
}

/** A refusal before the decision. */
export interface Refusal {
  readonly stage: RehearsalStage
  readonly failure: Failure
}

/** Runs a written exchange. */
export function rehearse(entry: ScenarioEntry, scene: Scene): Rehearsal {
  const { order, refusals } = prepare(entry, scene)
  const [first] = refusals
  if (order !== undefined && first === undefined) return rehearseOrder(order, scene)
  if (first === undefined) throw new Error('nothing was refused and there is nothing to decide')
  const { failure, stage } = first
  return { result: failure, stage, refusals, order, tailored: undefined, trace: [] }
}

/** Decides an order and mints what is granted. */
export function rehearseOrder(
  order: TailorOrder,
  { ruleset, surroundings }: Pick<Scene, 'ruleset' | 'surroundings'>,
  evaluate?: Evaluate,
): Rehearsal {
  const trace: TracedStep[] = []
  const tailored = tailor(ruleset, order, {
    trace: (step, facts) => trace.push({ step, facts }),
    ...(evaluate && { evaluate }),
  })
  const known = { refusals: [], order, tailored, trace }
  if (tailored.outcome === 'denied') {
    const stage = tailored.decision.allow && tailored.children.length === 0 ? 'mint' : 'decision'
    return { ...known, result: tailored.failure, stage }
  }
  const { decision } = tailored
  if (tailored.outcome === 'forwarded') {
    const { subject } = order
    return { ...known, result: ok({ kind: 'forwarded', decision, subject }), stage: 'decision' }
  }
  const minted = mint(tailored, unsignedMint(surroundings))
  const result = minted.ok
    ? ok({ kind: 'minted' as const, decision, minted: minted.value })
    : minted
  return { ...known, result, stage: 'mint' }
}

function prepare(
  { caller: name, subject: subjectEntry, actor: actorEntry, request: asked, now }: ScenarioEntry,
  scene: Scene,
): { readonly order: TailorOrder | undefined; readonly refusals: readonly Refusal[] } {
  const refusals: Refusal[] = []
  const caller = callerOf(name, scene)
  if (!caller.ok) return { order: undefined, refusals: [{ stage: 'client', failure: caller }] }
  const made = { caller: caller.value, scene, now: Date.parse(now ?? DEFAULT_NOW) }
  const request = requestOf(asked)
  if (!request.ok) refusals.push({ stage: 'request', failure: request })
  const subject = describedSubject(subjectEntry, made)
  if (subject.refusal !== undefined) refusals.push({ stage: 'subject', failure: subject.refusal })
  const actor = actorEntry && describedActor(actorEntry, made)
  if (actor?.refusal !== undefined) refusals.push({ stage: 'actor', failure: actor.refusal })
  if (!request.ok || subject.token === undefined) return { order: undefined, refusals }
  const { service, id, iss } = caller.value
  const order: TailorOrder = {
    caller: { service, id, iss },
    subject: subject.token,
    actor: actor?.token,
    request: request.value,
    issuer: scene.surroundings.issuer,
    now: made.now,
    newTokenId: () => UNSIGNED_TOKEN_ID,
    rulesetClaim: scene.surroundings.rulesetClaim,
  }
  return { order, refusals }
}

/** What came back as the subject token of the next exchange, or a token inside it; undefined where none is. */
export function nextSubject(granted: Granted, uses: readonly string[] = []): Subject | undefined {
  if (granted.kind === 'forwarded') return uses.length === 0 ? granted.subject : undefined
  let { minted } = granted
  for (const member of uses) {
    const inside = minted.children.find(({ child }) => child.embed.member === member)?.minted
    if (inside?.ok !== true) return undefined
    minted = inside.value
  }
  return subjectOf(minted.token.claims)
}
