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
  readonly message: string
  /** What was probably meant, ready to be typed. */
  readonly suggestion?: string
  readonly severity: 'error' | 'warning'
}

/** Text from files goes to terminals: control, format and line-separating characters are shown, never sent. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu

/** Replaces what a terminal would act on by its escape, such as `\u{1b}`. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`)
}

/** One line: `rules/a.yaml:5:7: error: services.a.audiance: unknown key; did you mean `audience`?` */
export function formatProblem(problem: Problem): string {
  const { file, line, column, path, message, suggestion, severity } = problem
  const place = line === 0 ? file : `${file}:${line}:${column}`
  const what = path === '' ? message : `${path}: ${message}`
  const hint = suggestion === undefined ? '' : `; did you mean \`${suggestion}\`?`
  return printable(`${place}: ${severity}: ${what}${hint}`)
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

/**
 * The known word that `word` was probably meant to be: at most a third of its letters differ.
 * Gives undefined where nothing is near; the first of equally near ones otherwise.
 */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  if (word.length === 0 || word.length > MAX_WORD) return undefined
  const typed = normal(word)
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of known) {
    if (candidate.length > MAX_WORD || candidate === word) continue
    const distance = editDistance(typed, normal(candidate))
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** `jwksUri`, `jwks-uri` and `jwks_uri` are one word. */
const normal = (word: string): string => word.toLowerCase().replaceAll('-', '').replaceAll('_', '')

/** Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours. */
function editDistance(a: string, b: string): number {
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
