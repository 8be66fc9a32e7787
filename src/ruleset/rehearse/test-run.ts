// Owns running tests and journeys against a ruleset. Pure: the same tests on the same rules end alike.
// Must not read files or print.

import type { Ruleset } from '../ruleset.ts'
import { type Difference, differencesOf } from './expectation.ts'
import { nextSubject, type Rehearsal, rehearse } from './rehearsal.ts'
import type { ScenarioEntry } from './scenario.ts'
import type { Surroundings } from './surroundings.ts'
import type { TestSet } from './test-file.ts'
import type { JourneyEntry, TestEntry } from './test-schema.ts'

/** A test or a journey, and where it stands. */
export interface TestCase {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly namespace: string
  readonly name: string
  readonly kind: 'test' | 'journey'
  readonly entry: TestEntry | JourneyEntry
}

/** What became of it. */
export interface TestResult {
  readonly test: TestCase
  readonly passed: boolean
  /** One for a test; of a journey those that were run: a hop that fails is the last one. */
  readonly hops: readonly HopResult[]
}

export interface HopResult {
  /** Undefined where there was no token to hand in. */
  readonly rehearsal: Rehearsal | undefined
  readonly differences: readonly Difference[]
}

/** The tests and journeys of a file, in its order. */
export function casesOf({ document, namespace, tests = [], journeys = [] }: TestSet): TestCase[] {
  const { file, positionOf } = document
  const shared = { file, namespace }
  return [
    ...tests.map((entry, at) => ({
      ...shared,
      ...positionOf(['tests', at]),
      name: entry.name,
      kind: 'test' as const,
      entry,
    })),
    ...journeys.map((entry, at) => ({
      ...shared,
      ...positionOf(['journeys', at]),
      name: entry.name,
      kind: 'journey' as const,
      entry,
    })),
  ]
}

/** Runs one test or journey. */
export function runTest(test: TestCase, ruleset: Ruleset, surroundings: Surroundings): TestResult {
  const scene = { ruleset, surroundings, namespace: test.namespace }
  const hops: HopResult[] = []
  const run = (entry: ScenarioEntry & Pick<TestEntry, 'expect'>): Rehearsal | undefined => {
    const rehearsal = rehearse(entry, scene)
    const differences = differencesOf(entry.expect, rehearsal, scene)
    hops.push({ rehearsal, differences })
    return differences.length === 0 ? rehearsal : undefined
  }
  if ('hops' in test.entry) runJourney(test.entry, run, hops)
  else run(test.entry)
  return { test, hops, passed: hops.every(({ differences }) => differences.length === 0) }
}

function runJourney(
  { subject: first, now, hops }: JourneyEntry,
  run: (entry: ScenarioEntry & Pick<TestEntry, 'expect'>) => Rehearsal | undefined,
  results: HopResult[],
): void {
  let subject: ScenarioEntry['subject'] = first
  let last: Rehearsal | undefined
  for (const { caller, uses, actor, request, expect } of hops) {
    if (last?.result.ok === true) {
      const next = nextSubject(last.result.value, [uses ?? []].flat())
      if (next === undefined) {
        const what = `embedded.${[uses ?? []].flat().join('.embedded.')}`
        const differences = [{ what: 'uses', expected: what, actual: 'not in the result before' }]
        results.push({ rehearsal: undefined, differences })
        return
      }
      subject = next
    }
    last = run({ caller, subject, actor, request, now, expect })
    if (last === undefined) return
  }
}
