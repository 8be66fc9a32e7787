// A model of reality beside the state machine: real time, a wall clock that jumps, processes that lag behind.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { SigningAlgorithm } from '../../src/jwt/algorithms.ts'
import {
  type KeyPolicy,
  staleAfterMs,
  tailMs,
  VERIFIER_SKEW_MS,
} from '../../src/keys/key-policy.ts'
import {
  applyRestore,
  applyRotation,
  planRevocation,
  planRotation,
  type RotationInput,
} from '../../src/keys/key-rotation.ts'
import {
  applyMoves,
  applyTick,
  isPublished,
  KEY_STATES,
  type KeyRecord,
  newKey,
  planTick,
} from '../../src/keys/key-state.ts'
import { DAY, HOUR, MINUTE, SECOND, START } from './fixture.ts'

const ALGORITHMS: readonly SigningAlgorithm[] = ['ES256', 'EdDSA']
const policy: KeyPolicy = {
  algorithms: ALGORITHMS,
  publishBeforeMs: 65 * MINUTE,
  signForMs: 100 * MINUTE,
  maxTokenLifetimeMs: 10 * MINUTE,
}

type Step =
  | { readonly kind: 'serve'; readonly ticks: number; readonly gap: number }
  | { readonly kind: 'outage'; readonly ms: number }
  | { readonly kind: 'jump'; readonly ms: number }
  | { readonly kind: 'rotate'; readonly which: number; readonly emergency: boolean }
  | { readonly kind: 'revoke'; readonly which: number; readonly emergency: boolean }
  | { readonly kind: 'restore' }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('serve' as const),
      ticks: fc.integer({ min: 1, max: 150 }),
      gap: fc.integer({ min: 40 * SECOND, max: 60 * SECOND }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('outage' as const),
      ms: fc.integer({ min: 61 * SECOND, max: 2 * DAY }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('jump' as const),
      // Further than tick and tolerance together, either way.
      ms: fc.oneof(
        fc.integer({ min: 3 * MINUTE, max: 20 * DAY }),
        fc.integer({ min: -20 * DAY, max: -3 * MINUTE }),
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('rotate' as const, 'revoke' as const),
      which: fc.nat({ max: 7 }),
      emergency: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'restore' as const }) },
)

class World {
  real = 0
  offset = START
  lastTickAt: number = START
  keys: readonly KeyRecord[]
  made = 0
  moved = 0
  /** By kid: real time served since it was published, and since it last stopped signing. */
  readonly published = new Map<string, number>()
  readonly retired = new Map<string, number>()
  /** By kid: the latest exp that any process signed. */
  readonly signed = new Map<string, number>()
  /** A process that lost the store some time ago. */
  laggard: { readonly keys: readonly KeyRecord[]; readonly readAt: number }

  constructor() {
    const first = ALGORITHMS.map((algorithm) => newKey(this.kid(), algorithm, START))
    const moves = first.map((key) => ({ kid: key.kid, to: 'active' as const }))
    const next = ALGORITHMS.map((algorithm) => newKey(this.kid(), algorithm, START))
    this.keys = [...applyMoves(first, moves, START, policy), ...next]
    this.laggard = { keys: this.keys, readAt: 0 }
    for (const key of this.keys) this.published.set(key.kid, 0)
  }

  kid(): string {
    this.made += 1
    return `key ${this.made}`
  }

  get wall(): number {
    return this.real + this.offset
  }

  take(one: Step): void {
    if (one.kind === 'serve') for (let left = one.ticks; left > 0; left--) this.serve(one.gap)
    else if (one.kind === 'outage') {
      this.real += one.ms
      this.tick(0, true)
    } else if (one.kind === 'jump') {
      this.real += 15 * SECOND
      this.offset += one.ms
      // The jump comes between two ticks: in between everybody signs by the new time.
      this.signAll()
      this.tick(0, true)
    } else if (one.kind === 'restore') this.operate(applyRestore(this.input()))
    else this.manual(one.which, one.kind, one.emergency)
    this.check()
  }

  serve(gap: number): void {
    this.real += gap
    this.tick(gap, false)
    this.signAll()
    this.check()
  }

  input(): RotationInput {
    return {
      keys: this.keys,
      lastTickAt: this.lastTickAt,
      now: this.wall,
      policy,
      unusable: new Set(),
    }
  }

  tick(served: number, isInterrupted: boolean): void {
    for (const kid of this.published.keys())
      this.published.set(kid, (this.published.get(kid) ?? 0) + served)
    for (const kid of this.retired.keys())
      this.retired.set(kid, (this.retired.get(kid) ?? 0) + served)
    const input = this.input()
    const plan = planTick(input)
    if (isInterrupted) assert.deepEqual([plan.moves, plan.create], [[], []], 'moved over a gap')
    const created = plan.create.map((algorithm) => ({ kid: this.kid(), algorithm }))
    const before = new Map(this.keys.map((key) => [key.kid, key.state]))
    this.keys = applyTick(input, plan, created)
    this.lastTickAt = this.wall
    for (const key of this.keys) this.checkMove(key, before.get(key.kid))
    for (const key of created) this.published.set(key.kid, 0)
  }

  checkMove(key: KeyRecord, from: KeyRecord['state'] | undefined): void {
    if (from === undefined || from === key.state) return
    this.moved += 1
    const steps = KEY_STATES.indexOf(key.state) - KEY_STATES.indexOf(from)
    assert.equal(steps, 1, `${key.kid} went from ${from} to ${key.state} in one tick`)
    if (key.state === 'active') {
      assert.ok(
        (this.published.get(key.kid) ?? 0) >= policy.publishBeforeMs,
        'signs before the lead',
      )
    }
    if (key.state === 'retiring') this.retired.set(key.kid, 0)
    if (key.state === 'gone') {
      assert.ok((this.retired.get(key.kid) ?? 0) >= tailMs(policy), 'leaves before the tail')
      const last = this.signed.get(key.kid) ?? 0
      assert.ok(this.wall >= last + VERIFIER_SKEW_MS, 'leaves before its last token is expired')
    }
  }

  /** What processes sign, the laggard included, within what they read from the store. */
  signAll(): void {
    if (this.real - this.laggard.readAt > staleAfterMs(policy)) {
      this.laggard = { keys: this.keys, readAt: this.real }
    }
    for (const key of [...this.keys, ...this.laggard.keys]) {
      const exp = this.wall + policy.maxTokenLifetimeMs
      if (key.state !== 'active' || exp > (key.signsUntil ?? 0)) continue
      this.signed.set(key.kid, Math.max(this.signed.get(key.kid) ?? 0, exp))
    }
  }

  manual(which: number, kind: 'rotate' | 'revoke', emergency: boolean): void {
    const input = this.input()
    const living = this.keys.filter(isPublished)
    const algorithms = which < ALGORITHMS.length ? ALGORITHMS.slice(which, which + 1) : ALGORITHMS
    const plan =
      kind === 'rotate'
        ? planRotation(input, algorithms, emergency)
        : planRevocation(input, living[which % living.length]?.kid ?? '', emergency)
    if (!plan.ok) return
    if (kind === 'rotate' && !emergency) {
      for (const move of plan.value.moves.filter(({ to }) => to === 'active')) {
        assert.ok(
          (this.published.get(move.kid) ?? 0) >= policy.publishBeforeMs,
          'rotated before the lead',
        )
      }
    }
    const created = plan.value.createActive.map((algorithm) => ({ kid: this.kid(), algorithm }))
    this.operate(applyRotation(input, plan.value, created))
    for (const key of created) this.published.set(key.kid, 0)
  }

  operate(keys: readonly KeyRecord[]): void {
    const before = new Map(this.keys.map((key) => [key.kid, key]))
    this.keys = keys
    this.lastTickAt = this.wall
    for (const key of keys) {
      const was = before.get(key.kid)
      const isFresh = was?.state !== 'retiring' || was.retiredAt !== key.retiredAt
      if (key.state === 'retiring' && isFresh && key.retiredAt === this.wall)
        this.retired.set(key.kid, 0)
    }
    this.laggard = { keys, readAt: this.real }
  }

  check(): void {
    assert.ok(this.keys.some(isPublished), 'the set is empty')
    for (const state of ['next', 'active'] as const) {
      for (const algorithm of ALGORITHMS) {
        const count = this.keys.filter(
          (key) => key.algorithm === algorithm && key.state === state,
        ).length
        assert.ok(count <= 1, `${count} ${state} ${algorithm} keys`)
      }
    }
  }
}

test('P5: over any sequence of ticks, outages, jumps, rotations, revocations and restores', () => {
  let moved = 0
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => {
      const world = new World()
      for (const one of steps) world.take(one)
      moved += world.moved
    }),
    { numRuns: 300 },
  )
  assert.ok(moved > 1000, `only ${moved} moves were seen: the property says nothing`)
})

test('P5: in quiet times a key signs for its time, and the set holds at most three keys per algorithm', () => {
  const world = new World()
  const signers = new Set<string>()
  for (let minute = 0; minute < (10 * HOUR) / MINUTE; minute++) {
    world.take({ kind: 'serve', ticks: 1, gap: MINUTE })
    const living = world.keys.filter(isPublished)
    assert.ok(living.length <= 3 * ALGORITHMS.length)
    for (const key of living) if (key.state === 'active') signers.add(key.kid)
  }
  // 600 minutes at 100 minutes each, the first included.
  assert.equal(signers.size, 7 * ALGORITHMS.length)
})
