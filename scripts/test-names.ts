// Owns which tests there are, by the names in their source. Must not run or load any test.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** One name that a test, or a row of a table of tests, has; `…` stands for what is filled in. */
export interface TestName {
  /** From the root of the project. */
  readonly file: string
  readonly name: string
}

const FOLDER = 'test'
/** Its texts are examples for this file. */
const OWN_TEST = 'conformance.test.ts'
const REQUIREMENT = /\b(?:TE|OA|RI|AT|CA|SC|SP|MD|BCP|JWS|MT|SB|IN|RV)-\d{2}\b/g
const PROMISE = /\bP(?:10|[1-9])\b/g
const ATTACK = /\bfield-6 #\d{1,2}\b/g

/** The ids of requirements in a name, and of promises and attacks. */
export const idsIn = (name: string): readonly string[] =>
  [REQUIREMENT, PROMISE, ATTACK].flatMap((pattern) => name.match(pattern) ?? [])

/** Every name that holds an id, in the order of files and lines. */
export function namesWithIds(): readonly TestName[] {
  return readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.ts') && path !== OWN_TEST)
    .map((path) => join(FOLDER, path))
    .sort()
    .flatMap((file) =>
      namesOf(readFileSync(file, 'utf8')).map((name): TestName => ({ file, name })),
    )
}

/** The texts with ids in a test file. Names stand on one line each: Biome sees to that. */
export function namesOf(source: string): readonly string[] {
  const names = source
    .split('\n')
    .flatMap(literalsOf)
    .filter((text) => idsIn(text).length > 0)
  return [...new Set(names)]
}

/** The string literals of a line of code, up to a comment. */
function literalsOf(line: string): readonly string[] {
  const literals: string[] = []
  for (let at = 0; at < line.length; at++) {
    const quote = line[at] ?? ''
    if (quote === '/' && line[at + 1] === '/') break
    if (!`'"\``.includes(quote)) continue
    const end = endOf(line, at)
    literals.push(plain(line.slice(at + 1, end)))
    at = end
  }
  return literals
}

function endOf(line: string, start: number): number {
  for (let at = start + 1; at < line.length; at++) {
    if (line[at] === '\\') at++
    else if (line[at] === line[start]) return at
  }
  return line.length
}

/** As people read it: escapes resolved, what a template fills in left open. */
const plain = (literal: string): string =>
  literal.replace(/\$\{[^}]*\}/g, '…').replace(/\\(.)/g, '$1')
