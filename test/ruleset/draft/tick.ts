// Owns doing with a draft what a person does: ticking all of it, filling in nothing, and moving entries of services
// that are there into theirs. Must not be kinder than a person: what is still undecided is left out.
import assert from 'node:assert/strict'
import { parseYaml } from '../../../src/config/yaml.ts'
import { fullName } from '../../../src/ruleset/names.ts'
import type { RuleFile } from '../../../src/ruleset/schema.ts'

/** Takes the `#` away from every line that the header of a draft calls YAML. */
export const tickAll = (text: string): string =>
  text
    .split('\n')
    .map((line) => (line.startsWith('#  ') ? line.slice(1) : line))
    .join('\n')
    .replace('\nservices: {}\n', '\nservices:\n')

/** The value of a rule file. */
export function readRules(text: string): RuleFile {
  const read = parseYaml(text, 'draft.yaml')
  assert.ok(read.ok, `${JSON.stringify(read)}\n${text}`)
  return read.document.value as RuleFile
}

type Entry = RuleFile['services'][string]
type Rule = NonNullable<Entry['accepts']>[number]

/** The rule files that come of drafts of which everything was ticked, beside `base`; JSON is YAML. */
export function decided(base: readonly RuleFile[], drafts: readonly string[]): string[] {
  const files = structuredClone([...base])
  for (const text of drafts) {
    const ticked = tickAll(text)
    // Without any entry there is nothing to tick.
    const { namespace, services } = readRules(ticked)
    let file = files.find((one) => one.namespace === namespace)
    if (file === undefined) {
      file = { namespace, services: {} }
      files.push(file)
    }
    for (const [name, entry] of Object.entries(services ?? {})) {
      file.services[name] = merged(file.services[name], entry, namespace)
    }
  }
  return files.map((file) => JSON.stringify(file))
}

function merged(before: Entry | undefined, entry: Entry, namespace: string): Entry {
  const accepts = [...(before?.accepts ?? [])]
  for (const rule of entry.accepts ?? []) addRule(accepts, rule, namespace)
  const list = (key: 'calls' | 'scopes') => [...(before?.[key] ?? []), ...(entry[key] ?? [])]
  const { accepts: _, ...rest } = { ...before, ...entry }
  return {
    ...rest,
    calls: list('calls'),
    scopes: list('scopes'),
    ...(accepts.length === 0 ? {} : { accepts }),
  }
}

function addRule(accepts: Rule[], rule: Rule, namespace: string): void {
  assert.ok(rule.scopes !== undefined && !Array.isArray(rule.scopes))
  const scopes = Object.entries(rule.scopes).filter(
    ([, one]) => !Array.isArray(one) || one.length > 0,
  )
  if (rule.issuer === 'DECIDE' || scopes.length === 0) return
  const fromOf = (one: Rule) => fullName(String(one.from), namespace)
  const there = accepts.findIndex(
    (one) => fromOf(one) === fromOf(rule) && (one.issuer ?? 'self') === rule.issuer,
  )
  const known = accepts[there]
  if (known === undefined) accepts.push({ ...rule, scopes: Object.fromEntries(scopes) })
  else accepts[there] = { ...known, scopes: { ...known.scopes, ...Object.fromEntries(scopes) } }
}
