// Which claims of a subject token are recorded: what the target reads, and what is missing of what it lists.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_CLAIM_CHARACTERS, recordedClaims } from '../../src/audit/inputs.ts'

const TARGET = { readClaims: ['amr', 'risk'], claims: ['email', 'phone', 'risk'] }
const recorded = (claims: Record<string, unknown>) => recordedClaims({ claims }, TARGET)

test('what is read is recorded with its value, what passes on or is nobody’s matter is not', () => {
  const { claims } = recorded({
    amr: ['mfa'],
    risk: 'low',
    email: 'a@x.example',
    phone: '1',
    other: 1,
  })
  assert.deepEqual(claims, { amr: ['mfa'], risk: 'low' })
})

test('what is read or listed and not there is noted once', () => {
  assert.deepEqual(recorded({ email: 'a@x.example' }).absentClaims, ['amr', 'risk', 'phone'])
  assert.deepEqual(recorded({ toString: 1 }).absentClaims, ['amr', 'risk', 'email', 'phone'])
})

test('null is there, whether it is read or listed, and nothing else is told of what is only listed', () => {
  const { claims, absentClaims } = recorded({ amr: null, risk: 1, email: null, phone: false })
  assert.deepEqual(claims, { amr: null, risk: 1, email: null })
  assert.deepEqual(absentClaims, [])
})

test('P7 what is long or could hold a token is left out, by name', () => {
  const token = `eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.${'c'.repeat(86)}`
  const long = recorded({ amr: 'x '.repeat(MAX_CLAIM_CHARACTERS / 2), risk: token })
  assert.deepEqual([long.claims, long.leftOut], [{}, ['amr', 'risk']])
  assert.deepEqual(
    recorded({ amr: 'x '.repeat(MAX_CLAIM_CHARACTERS / 2 - 1), risk: 1 }).leftOut,
    [],
  )
})

test('without a target nothing is recorded', () => {
  assert.deepEqual(recordedClaims({ claims: { risk: 'low' } }, undefined), {
    claims: {},
    absentClaims: [],
    leftOut: [],
  })
})
