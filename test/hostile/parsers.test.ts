// Every parser of text from outside against a hundred thousand hostile inputs: a typed value or a known problem.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type ParserReport, runParser } from './parser-run.ts'
import { PARSERS, type ParserName } from './parser-targets.ts'

/** `npm run fuzz` takes others. */
const SEED = 20_261_123
/** A file of YAML takes as long as ten of the others. */
const INPUTS = {
  xfcc: 20_000,
  form: 20_000,
  token: 20_000,
  json: 10_000,
  spiffe: 12_000,
  traceparent: 6000,
  small: 6000,
  keyset: 4000,
  yaml: 4000,
  rules: 2500,
  settings: 1500,
} as const satisfies Record<ParserName, number>

/** Of the inputs, on either side. */
const TOO_FEW = 0.01

describe('hostile inputs', () => {
  test('are a hundred thousand', () => {
    const all = Object.values(INPUTS).reduce((sum, inputs) => sum + inputs, 0)
    assert.ok(all >= 100_000, `${all}`)
    assert.deepEqual(Object.keys(INPUTS), Object.keys(PARSERS))
  })
  for (const parser of Object.keys(INPUTS) as ParserName[]) {
    test(`P4 ${parser}: a typed value or a known problem, and what is accepted is right`, async () => {
      const outcome = await runParser({ parser, seed: SEED, from: 0, inputs: INPUTS[parser] })
      if ('problem' in outcome) {
        const { seed, index, input, problem } = outcome
        assert.fail(`seed ${seed}, input ${index}: ${JSON.stringify(input)}\n${problem}`)
      }
      assertBothEnds(outcome)
    })
  }
})

/** Inputs that are all refused, or all accepted, would test one half of a parser only. */
function assertBothEnds({ inputs, accepted }: ParserReport): void {
  const share = accepted / inputs
  assert.ok(share > TOO_FEW && share < 1 - TOO_FEW, `${accepted} of ${inputs} accepted`)
}
