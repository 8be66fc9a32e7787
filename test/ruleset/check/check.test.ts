// The check as a whole: rules with errors, caps, and how long it takes.
import assert from 'node:assert/strict'
import { performance } from 'node:perf_hooks'
import { describe, it } from 'node:test'
import { checkRules } from '../../../src/ruleset/check/check.ts'
import { checkPresenters } from '../../../src/ruleset/check/presenters.ts'
import { CHECK_CONTEXT, CLEAN, changed, check, found } from '../../support/checks.ts'
import { load } from '../../support/rules.ts'

describe('rules with errors', () => {
  const orphan = changed(CLEAN, '  ads:\n', '  orphan: {scopes: []}\n  ads:\n')

  it('the others are checked all the same, but for the other halves of their edges', () => {
    const text = changed(orphan, 'from: [checkout]', 'from: [chekout]')
    const { findings, left, budgets } = check([text])
    assert.deepEqual(
      findings.map(({ line, column, id }) => `${line}:${column} ${id}`),
      ['33:17 service-unknown', '34:3 service-unused'],
    )
    assert.match(String(left), /^rules around the errors, and what nobody could ever obtain$/)
    assert.deepEqual(budgets, [])
  })

  it('a service whose name is mistyped where it is defined', () => {
    const ids = found(changed(orphan, '  mailer:\n', '  mailr:\n'))
    assert.deepEqual(ids, ['10:22 service-unknown', '34:3 service-unused'])
  })

  it('a circle of embedding ends', () => {
    const text = changed(
      changed(
        CLEAN,
        '        scopes: {payment:charge: [checkout:place]}\n',
        '        scopes: {payment:charge: [checkout:place]}\n        embed: [checkout]\n',
      ),
      '    scopes: [payment:charge]\n',
      '    scopes: [payment:charge]\n    calls: [checkout]\n',
    )
    const circle = changed(
      changed(text, 'checkout:\n    audience', 'checkout:\n    embeddable: true\n    audience'),
      '    accepts:\n      - from: frontend\n        issuer: corporate\n        actors',
      '    accepts:\n      - {from: payment, scopes: {checkout:quote: [payment:charge]}, embed: [payment]}\n      - from: frontend\n        issuer: corporate\n        actors',
    )
    assert.ok(
      found(circle).some((line) => line.endsWith('embed-cycle')),
      found(circle).join(),
    )
  })

  it('where a file cannot be read nothing else is said', () => {
    const { findings, left } = check([orphan, 'namespace: other\nservices: {a: {b: 1}}\n'])
    assert.deepEqual(
      findings.map(({ file, id }) => `${file} ${id}`),
      ['rules/1.yaml shape-invalid'],
    )
    assert.equal(left, 'everything else: a file cannot be read')
    assert.deepEqual(
      check(['namespace: [']).findings.map(({ id }) => id),
      ['yaml-invalid'],
    )
  })
})

describe('many findings', () => {
  const services = (many: number, entry: string) =>
    Array.from({ length: many }, (_, at) => `  x${at}y: ${entry}\n`).join('')

  it('500 warnings are told, and errors beside them', () => {
    const error = `  frontend: {calls: [front]}
  front: {scopes: [f], calls: [a], accepts: [{from: frontend, issuer: corporate, scopes: {f: [x]}}]}
  a: {scopes: [a], accepts: [{from: front, when: subject.claims.email == 1, scopes: {a: [f]}}]}
`
    const text = `namespace: boutique\nservices:\n${services(600, '{scopes: []}')}${error}`
    const { findings } = check([text])
    assert.equal(findings.filter(({ severity }) => severity === 'warning').length, 500)
    assert.deepEqual(
      findings.filter(({ severity }) => severity === 'error').map(({ id }) => id),
      ['claim-never-there'],
    )
  })

  it('eight times as many rules take about eight times as long', () => {
    const timeOf = (many: number): number => {
      const callers = Array.from({ length: many }, (_, at) => `x${at}y`)
      const rules = callers.map(
        (name) =>
          `      - {from: ${name}, when: has(subject.claims.c0) && subject.claims.c0 == 1, scopes: {hub:use: [s]}}\n`,
      )
      const denies = Array.from(
        { length: 5 },
        (_, at) => `      - {when: has(subject.claims.c${at}), reason: r${at}}\n`,
      )
      const hub = `  hub:\n    scopes: [hub:use]\n    claims: [c0, c1, c2, c3, c4]\n    accepts:\n${rules.join('')}    denies:\n${denies.join('')}`
      const entry =
        '{scopes: [s], claims: [c0, c1, c2, c3, c4], calls: [hub], accepts: [{from: front, issuer: corporate, scopes: {s: [u]}}]}'
      const text = `namespace: shop\nservices:\n  front: {calls: [${callers.slice(0, 999)}]}\n${services(many, entry)}${hub}`
      const { written, ruleset, problems } = load(text)
      assert.deepEqual(problems, [])
      const started = performance.now()
      checkRules(written, ruleset, CHECK_CONTEXT)
      return performance.now() - started
    }
    timeOf(500)
    const few = timeOf(1000)
    const many = timeOf(8000)
    assert.ok(many < few * 30, `${few} ms, then ${many} ms`)
  })
})

describe('presented_by of the issuers file', () => {
  const issuers = (...names: string[]) => `corporate:
  issuer: https://login.corp.example
  jwks_uri: https://login.corp.example/keys
  algorithms: [ES256]
  token_types: [access_token]
  presented_by: {https://api.shop.example: [${names}]}
  scopes_from: [scope]
  subject_prefix: corp
`
  const { services } = load(CLEAN).written
  const presenters = (text: string) =>
    checkPresenters({ file: 'issuers.yaml', text }, services ?? new Map()).map(
      ({ line, column, id, severity, message, suggestion }) =>
        `${line}:${column} ${severity} ${id} ${message} ${suggestion}`,
    )

  it('names services that call', () =>
    assert.deepEqual(presenters(issuers('boutique/frontend')), []))
  it('names no service', () => {
    assert.deepEqual(presenters(issuers('boutique/frontend', 'boutique/checkot')), [
      '6:63 warning presenter-unknown no service boutique/checkot boutique/checkout',
    ])
  })
  it('names an external service', () => {
    assert.deepEqual(presenters(issuers('boutique/ledger')), [
      '6:45 warning presenter-unknown boutique/ledger is external: it hands in nothing undefined',
    ])
  })
  it('of a file that was changed since is left alone', () => {
    assert.deepEqual(presenters('corporate: ['), [])
    assert.deepEqual(presenters('corporate: 1'), [])
  })
})
