// Owns what is wrong with a file of configuration: its shape, its one line of text, "did you mean".
// Must not know YAML, schemas or files.

/** One thing wrong at one place. `line` 0 means that the place is no file (an environment variable). */
export interface Problem {
  readonly file: string
  /** From 1. */
  readonly line: number
  /** From 1, in UTF-16 code units, as editors count. */
  readonly column: number
  /** The path of the value, as {@link pathText} writes it; empty for the whole file. */
  readonly path: string
  /** Of a finding about rules: stable, with a page in docs/findings. */
  readonly id?: string
  readonly message: string
  /** What was probably meant, ready to be typed. */
  readonly suggestion?: string
  readonly severity: 'error' | 'warning'
}

/** The order in which a reader goes through files. */
export const byPlace = (a: Problem, b: Problem): number =>
  a.file.localeCompare(b.file) || a.line - b.line || a.column - b.column

/** Text from files goes to terminals: control, format and line-separating characters are shown, never sent. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu

/** Replaces what a terminal would act on by its escape, such as `\u{1b}`. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escapeOf)
}

const escapeOf = (char: string): string => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`

/** Letters, marks, digits and spaces that may be taken for those that a name is made of. */
const LOOK_ALIKES = /[^\P{L}A-Za-z]|[^\P{N}0-9]|[^\P{Zs} ]|\p{M}/gu

/** One line: `rules/a.yaml:5:7: error: services.a.audiance: unknown key; did you mean `audience`? [shape-invalid]` */
export function formatProblem(problem: Problem): string {
  const { file, line, column, path, id, message, suggestion, severity } = problem
  const place = line === 0 ? file : `${file}:${line}:${column}`
  const what = path === '' ? message : `${path}: ${message}`
  const hint = suggestion === undefined ? '' : `; did you mean \`${suggestion}\`?`
  const plain = `${what}${hint}`.replace(LOOK_ALIKES, escapeOf)
  const finding = id === undefined ? '' : ` [${id}]`
  return printable(`${place}: ${severity}: ${plain}${finding}`)
}

const PLAIN_KEY = /^[A-Za-z0-9_-]{1,64}$/
const MAX_KEY_SHOWN = 64

/** Writes a path for people: `services.checkout.accepts[0].scopes["checkout:place"]`. */
export function pathText(path: readonly PropertyKey[]): string {
  let text = ''
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`
    else if (PLAIN_KEY.test(String(step))) text += text === '' ? String(step) : `.${String(step)}`
    else text += `["${clip(String(step), MAX_KEY_SHOWN)}"]`
  }
  return text
}

/** Shortens text from a file so that a message stays one readable line. */
export function clip(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1)}…`
}

/** Longer words are no typing errors of short ones, and distance costs their product. */
const MAX_WORD = 64
/** Letters compared in one search, some milliseconds: a file of faults may ask among 100,000 names each time. */
const MAX_COMPARED = 500_000

/**
 * The known word that `word` was probably meant to be: at most a third of its letters differ.
 * Gives undefined where nothing is near; the first of equally near ones otherwise. Among very many
 * words the first are searched.
 */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  if (word.length === 0 || word.length > MAX_WORD) return undefined
  const typed = normal(word)
  let best: string | undefined
  let allowed = Math.max(1, Math.floor(word.length / 3))
  let compared = 0
  for (const candidate of known) {
    if (allowed < 0 || compared > MAX_COMPARED) break
    compared += candidate.length
    if (candidate.length > MAX_WORD || candidate === word) continue
    const other = normal(candidate)
    if (Math.abs(other.length - typed.length) > allowed) continue
    compared += typed.length * other.length
    const distance = editDistance(typed, other)
    if (distance > allowed) continue
    best = candidate
    allowed = distance - 1
  }
  return best
}

/** `jwksUri`, `jwks-uri` and `jwks_uri` are one word. */
const normal = (word: string): string => word.toLowerCase().replaceAll('-', '').replaceAll('_', '')

/** Without what both begin and end with: it changes no distance, and is most of a mistyped name. */
function differing(one: string, other: string): [one: string, other: string] {
  let start = 0
  while (start < one.length && one[start] === other[start]) start++
  let end = 0
  const shorter = Math.min(one.length, other.length) - start
  while (end < shorter && one.at(-1 - end) === other.at(-1 - end)) end++
  return [one.slice(start, one.length - end), other.slice(start, other.length - end)]
}

/** Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours. */
function editDistance(one: string, other: string): number {
  const [a, b] = differing(one, other)
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, (beforeLast[j - 2] ?? 0) + 1)
      }
      row.push(least)
    }
    beforeLast = last
    last = row
  }
  return last[b.length] ?? 0
}
