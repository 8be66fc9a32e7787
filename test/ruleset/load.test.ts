// Loading rules: 100,000 of them within the memory that is promised, and one text for a name however often it stands.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { decide } from '../../src/ruleset/decide.ts'
import type { Facts } from '../../src/ruleset/decision.ts'
import { loadRuleset, readRuleSources } from '../../src/ruleset/load.ts'
import type { Ruleset } from '../../src/ruleset/ruleset.ts'
import {
  callerIn,
  LARGE,
  largeRuleset,
  type RulesetSize,
  serviceName,
} from '../support/large-ruleset.ts'
import { loadInProcess } from '../support/load-rules.ts'
import { CONTEXT } from '../support/rules.ts'

/** The files of a ruleset in a temporary folder that goes with the test. */
function written(t: TestContext, size: RulesetSize): string {
  const folder = mkdtempSync(join(tmpdir(), 'mesh-sts-rules-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  for (const { file, text } of largeRuleset(size)) writeFileSync(join(folder, file), text)
  return folder
}

function loaded(size: RulesetSize): Ruleset {
  const { ruleset, problems } = loadRuleset(largeRuleset(size), CONTEXT)
  assert.deepEqual(problems, [])
  assert.ok(ruleset)
  return ruleset
}

/** The facts of the first exchange that the first service accepts. */
function exchange(ruleset: Ruleset, size: RulesetSize): Facts {
  const caller = serviceName(callerIn(0, 0, size), size)
  const service = ruleset.services.get(caller)
  const target = ruleset.services.get(serviceName(0, size))
  assert.ok(service && target)
  return {
    caller: { service, id: `spiffe://cluster.local/ns/${caller}`, iss: undefined },
    subject: {
      issuer: 'corporate',
      iss: 'https://login.corp.example',
      sub: 'alice',
      audiences: ['https://api.shop.example'],
      scopes: new Set(['shop:browse', 'shop:buy']),
      claims: {},
      chain: [],
    },
    actor: undefined,
    request: { audiences: [target.audience], resources: [], scopes: ['svc-0000:read'] },
    selfIss: CONTEXT.selfIss,
    now: 0,
  }
}

/** A map that counts what is looked up in it and can be neither walked nor changed. */
function counted<Key, Value>(
  map: ReadonlyMap<Key, Value>,
  count: () => void,
  given: (value: Value) => Value = (value) => value,
): ReadonlyMap<Key, Value> {
  const allowed = {
    get: (key: Key) => {
      count()
      const value = map.get(key)
      return value === undefined ? undefined : given(value)
    },
    has: (key: Key) => {
      count()
      return map.has(key)
    },
  }
  return new Proxy(map, {
    get: (_, name) => {
      assert.ok(name === 'get' || name === 'has', `the map is used by ${String(name)}`)
      return allowed[name]
    },
  })
}

/** How many look-ups and predicates one granted exchange takes. */
function workOf(size: RulesetSize): { readonly lookUps: number; readonly predicates: number } {
  const ruleset = loaded(size)
  const facts = exchange(ruleset, size)
  const work = { lookUps: 0, predicates: 0 }
  const count = () => void work.lookUps++
  const watched: Ruleset = {
    ...ruleset,
    services: counted(ruleset.services, count),
    targets: counted(ruleset.targets, count, (service) => ({
      ...service,
      rules: counted(service.rules, count),
    })),
  }
  const decision = decide(watched, facts, { trace: () => void work.predicates++ })
  assert.ok(decision.allow, decision.allow ? '' : decision.detail)
  return work
}

describe('100,000 rules', () => {
  test('load within 400 MB, as the command that we ship runs', async (t) => {
    const report = await loadInProcess([written(t, LARGE)])
    t.diagnostic(`${report.milliseconds} ms, ${report.peakMegabytes} MB at most`)
    assert.deepEqual(report.first, [])
    assert.equal(report.services, 2_000)
    assert.equal(report.rules, 100_000)
    assert.ok(report.peakMegabytes < 400, `${report.peakMegabytes} MB`)
  })
  test('are decided with as many look-ups as ten', () => {
    const ten = workOf({ services: 10, namespaces: 1, rulesPerService: 1 })
    assert.ok(ten.lookUps > 0 && ten.predicates > 0)
    assert.deepEqual(workOf(LARGE), ten)
  })
})

describe('what is too much', () => {
  test('files that hold more values together than a ruleset may are not read on', () => {
    const sources = Array.from({ length: 7 }, (_, index) => ({
      file: `rules/${index}.yaml`,
      text: `namespace: n${index}\nservices: {}\n# ${','.repeat(1_000_000)}\n`,
    }))
    assert.deepEqual(loadRuleset(sources.slice(0, 5), CONTEXT).problems, [])
    const { ruleset, problems } = loadRuleset(sources, CONTEXT)
    assert.equal(ruleset, undefined)
    assert.deepEqual(
      problems.map(({ file, message }) => `${file}: ${message}`),
      ['rules/5.yaml: the rule files hold too many values together'],
    )
  })
})

describe('what is no text', () => {
  const read = (t: TestContext, content: Uint8Array) => {
    const folder = mkdtempSync(join(tmpdir(), 'mesh-sts-rules-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    writeFileSync(join(folder, 'a.yaml'), content)
    const { sources, problems } = readRuleSources([folder])
    return {
      texts: sources.map(({ text }) => text),
      told: problems.map(({ line, column, message }) => `${line}:${column} ${message}`),
    }
  }
  const RULES = 'namespace: a\nservices: {}\n'
  test('a byte order mark is taken off', (t) => {
    assert.deepEqual(read(t, Buffer.from(`\ufeff${RULES}`)), { texts: [RULES], told: [] })
  })
  const refused: readonly [string, Uint8Array, string][] = [
    [
      'UTF-16, little end first',
      Buffer.from(`\ufeff${RULES}`, 'utf16le'),
      '1:1 the file is UTF-16: save it as UTF-8',
    ],
    [
      'UTF-16, big end first',
      Buffer.from(`\ufeff${RULES}`, 'utf16le').swap16(),
      '1:1 the file is UTF-16: save it as UTF-8',
    ],
    ['a byte of Latin-1', Buffer.from('a: 1\nb: é\n', 'latin1'), '2:4 this is not UTF-8'],
    [
      'a byte after letters of several bytes',
      Buffer.concat([Buffer.from('a: é🙂'), Buffer.from([0xc3]), Buffer.from('(\n')]),
      '1:7 this is not UTF-8',
    ],
    [
      'a character that is written too long',
      Buffer.from([0x61, 0x3a, 0x20, 0xc0, 0xaf]),
      '1:4 this is not UTF-8',
    ],
    ['half of a pair', Buffer.from([0x61, 0x3a, 0x20, 0xed, 0xa0, 0x80]), '1:4 this is not UTF-8'],
    ['a character that is cut off', Buffer.from([0x61, 0x3a, 0x20, 0xc3]), '1:4 this is not UTF-8'],
  ]
  for (const [name, content, told] of refused) {
    test(`${name} is refused, and where`, (t) => {
      assert.deepEqual(read(t, content), { texts: [], told: [told] })
    })
  }
})
