// P4 which ruleset a server starts with, and when it does not start.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firstRules, foundRules } from '../../src/compose/first-rules.ts'
import type { RuleSource } from '../../src/ruleset/load.ts'
import { packRules, type StoredRules } from '../../src/store/last-ruleset.ts'
import { BOUTIQUE, CONTEXT, load } from '../support/rules.ts'

const { parseDuration: _, ...PLAIN } = CONTEXT
const AT = Date.UTC(2026, 0, 2)
const NOW = AT + 1000
const BROKEN = BOUTIQUE.replace('calls: [checkout]', 'calls: [chekout]')

const found = (text: string) => {
  const sources = [{ file: 'rules/0.yaml', text }]
  return foundRules({ ...load(text), sources, trace: 'trace' })
}

const stored = (text: string, change: { digest?: string; hash?: string } = {}): StoredRules => {
  const sources: readonly RuleSource[] = [{ file: 'rules/0.yaml', text }]
  const hash = load(text).ruleset?.hash ?? 'none'
  return {
    digest: packRules(sources).digest,
    hash,
    loadedAt: AT,
    sources: () => sources,
    ...change,
  }
}

const choose = (onDisk: string, last?: StoredRules) => firstRules(found(onDisk), last, PLAIN, NOW)

test('rules that are good serve, and are stored where they are not yet, by this version', () => {
  const { hash } = stored(BOUTIQUE)
  const unsavedOf = (last?: StoredRules) => {
    const chosen = choose(BOUTIQUE, last)
    assert.ok(chosen.ok)
    assert.deepEqual(
      [chosen.first.ruleset.hash, chosen.first.loadedAt, chosen.broken],
      [hash, NOW, undefined],
    )
    return chosen.unsaved?.hash
  }
  assert.equal(unsavedOf(), hash)
  assert.equal(unsavedOf(stored(`# other\n${BOUTIQUE}`)), hash)
  assert.equal(unsavedOf(stored(BOUTIQUE, { hash: 'of another version' })), hash)
  assert.equal(unsavedOf(stored(BOUTIQUE)), undefined)
})

test('rules with errors: the stored ones serve, with what is wrong on disk', () => {
  const chosen = choose(BROKEN, stored(BOUTIQUE))
  assert.ok(chosen.ok)
  assert.deepEqual(
    [chosen.first.ruleset.hash, chosen.first.loadedAt, chosen.unsaved],
    [stored(BOUTIQUE).hash, AT, undefined],
  )
  assert.equal(chosen.broken?.errors, 1)
  assert.match(String(chosen.broken?.told), /^rules\/0\.yaml:7:\d+: error: .*chekout/)
})

test('a first start with errors is no start', () => {
  assert.deepEqual(choose(BROKEN), {
    ok: false,
    message: 'the rules have errors, and no earlier ruleset is stored',
  })
})

test('stored rules that are damaged, or do not fit the settings any more, are told as well', () => {
  const damaged = { ...stored(BOUTIQUE), sources: () => undefined }
  assert.deepEqual(choose(BROKEN, damaged), {
    ok: false,
    message:
      'the rules have errors, and the ruleset of 2026-01-02T00:00:00.000Z, which was stored, is damaged',
  })
  const chosen = firstRules(found(BROKEN), stored(BOUTIQUE), { ...PLAIN, issuers: [] }, NOW)
  assert.ok(!chosen.ok)
  assert.match(
    chosen.message,
    /^the rules have errors, and the ruleset of 2026-\S+, which was stored, has them as well:\nrules\/0\.yaml:\d+:\d+: error: /,
  )
})
