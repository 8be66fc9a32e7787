// Owns the run of a journey in a realm: real tokens, request by request, and whether its goal is really there.
// Must not use how the journey was found.
import assert from 'node:assert/strict'
import type { Journey } from '../../src/ruleset/reach/journey.ts'
import { type ReadToken, type Realm, readToken } from './adversary.ts'

/** Throws where a request is refused, or the goal is not in the token at the end. */
export async function runJourney(
  realm: Realm,
  issuerOf: (iss: unknown) => string,
  { root, hops, goal }: Journey,
): Promise<void> {
  const told = JSON.stringify({
    root: { ...root, workload: root.workload?.name },
    hops: hops.map(({ caller, target, scopes, uses }) => [caller.name, target.name, scopes, uses]),
    goal,
  })
  const read = (compact: string, isRoot: boolean) =>
    readToken(compact, isRoot ? () => root.issuer : issuerOf)
  const workload = root.workload?.name
  const { issuer, audiences, scopes, claims } = root
  let token = read(realm.sign({ issuer, workload, audiences, scopes, claims }), true)
  for (const { caller, uses, target, scopes: asked } of hops) {
    const handed = inside(token, uses)
    assert.ok(handed, `nothing inside: ${told}`)
    const compact = await realm.exchange({
      caller: caller.name,
      token: handed.compact,
      isWorkloads: handed.issuer === 'workload',
      target: target.name,
      scopes: asked,
    })
    assert.ok(compact, `refused at ${caller.name} → ${target.name}: ${told}`)
    token = compact === handed.compact ? handed : read(compact, false)
  }
  const end = inside(token, goal.path)
  assert.ok(end, `nothing inside at the end: ${told}`)
  const grants = root.workload?.grants
  if (goal.scope !== undefined) {
    const isThere =
      end.issuer === 'workload' ? grants?.has(goal.scope) : end.scopes.includes(goal.scope)
    assert.ok(isThere, `no scope at the end: ${told}`)
  }
  if (goal.claim !== undefined && goal.claim !== '*') {
    const isShown = Object.hasOwn(end.payload, goal.claim) || end.payload.ctx !== undefined
    assert.ok(isShown, `no claim at the end: ${told}`)
  }
}

function inside(token: ReadToken, path: readonly string[]): ReadToken | undefined {
  return path.reduce<ReadToken | undefined>((at, member) => at?.inside[member], token)
}
