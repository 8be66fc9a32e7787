// Owns the corpus of nasty texts, and how one or a few things of a valid text are changed.
// Must not know any grammar.
import type { Random } from './random.ts'

/** What has broken parsers before. */
export const NASTY_TEXTS: readonly string[] = [
  '',
  ' ',
  '\t',
  '\r\n',
  '\n\n',
  '\u0000',
  '\u0001',
  '\u001b[31m',
  '\u007f',
  '\u0085',
  '\u00a0',
  '\u00ad',
  '\u200b',
  '\u200f',
  '\u2028',
  '\u202e',
  '\u2066',
  '\ufeff',
  '\ufffd',
  '\uffff',
  'é',
  'e\u0301',
  'ſ',
  'İ',
  '😀',
  '%00',
  '%0a',
  '%0d%0a',
  '%u0041',
  '%',
  '%2',
  '%zz',
  '%c0%af',
  '%c0%80',
  '%ed%a0%80',
  '%f4%90%80%80',
  '%ff',
  '%EF%BB%BF',
  '%25',
  '%2500',
  '+',
  '&',
  '=',
  ';',
  ',',
  '"',
  '""',
  "'",
  '\\',
  '\\"',
  '\\u0000',
  '\\ud800',
  '\\udc00',
  '<',
  '>',
  '{',
  '}',
  '[',
  ']',
  '[[[[[[[[',
  '{"a":{"a":{"a":',
  '{}',
  '[]',
  'null',
  'true',
  'NaN',
  'Infinity',
  '-Infinity',
  '1e400',
  '-1e400',
  '1e-400',
  '-0',
  '0x10',
  '0777',
  '1_000',
  '9007199254740993',
  '18446744073709551616',
  '-1',
  '0',
  '00',
  '1.5',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '*',
  '**',
  '/*',
  '.',
  '..',
  '/../',
  '/./',
  '//',
  '/',
  ':',
  '#',
  '?',
  '@',
  '!',
  '!!js/function',
  '&a',
  '*a',
  '<<',
  '|',
  '~',
  '---',
  '...',
  'eyJ',
  'spiffe://',
  'spiffe://cluster.local/',
  'By=',
  'URI=',
  ',By=spiffe://cluster.local/ns/mesh-sts/sa/mesh-sts;URI=spiffe://cluster.local/ns/boutique/sa/frontend',
  'urn:ietf:params:oauth:token-type:access_token',
]

/** Longer than most caps, short enough to be copied often. */
const RUNS = [8, 64, 300, 1100, 5000, 20_000] as const

/** A nasty text, at times a long run of one. */
export function nastyText(random: Random): string {
  const text = random.pick(NASTY_TEXTS)
  if (!random.chance(0.02)) return text
  return (text === '' ? 'a' : text).repeat(Math.ceil(random.pick(RUNS) / Math.max(1, text.length)))
}

type Mutation = (text: string, random: Random) => string

const at = (text: string, random: Random): number => random.below(text.length + 1)

/** Two places in order, not too far apart. */
function range(text: string, random: Random): [number, number] {
  const from = at(text, random)
  return [from, Math.min(text.length, from + 1 + random.below(random.pick([1, 4, 16, 64])))]
}

const splice = (text: string, from: number, to: number, by: string): string =>
  text.slice(0, from) + by + text.slice(to)

const MUTATIONS: readonly Mutation[] = [
  (text, random) => {
    const place = at(text, random)
    return splice(text, place, place, nastyText(random))
  },
  (text, random) => splice(text, ...range(text, random), ''),
  (text, random) => splice(text, ...range(text, random), nastyText(random)),
  (text, random) => {
    const [from, to] = range(text, random)
    return splice(text, to, to, text.slice(from, to))
  },
  (text, random) => {
    const [from, to] = range(text, random)
    const place = at(text, random)
    return splice(text, place, place, text.slice(from, to))
  },
  (text, random) => {
    const place = at(text, random)
    const code = text.charCodeAt(place)
    return Number.isNaN(code)
      ? text
      : splice(text, place, place + 1, String.fromCharCode(code ^ (1 << random.below(8))))
  },
  (text, random) => {
    const [from, to] = range(text, random)
    const part = text.slice(from, to)
    return splice(
      text,
      from,
      to,
      part === part.toLowerCase() ? part.toUpperCase() : part.toLowerCase(),
    )
  },
  (text, random) => text.slice(0, at(text, random)),
  (text, random) => text.slice(at(text, random)),
  (text) => text + text,
]

/** Changes one thing of a text, seldom two or three. */
export function mutateText(text: string, random: Random): string {
  let mutated = text
  do mutated = random.pick(MUTATIONS)(mutated, random)
  while (random.chance(0.2))
  return mutated
}

/** Changes one character between two that are neighbours in a text, so that most of it stays valid. */
export function swapCharacters(text: string, random: Random): string {
  if (text.length < 2) return text
  const place = random.below(text.length - 1)
  return splice(text, place, place + 2, `${text[place + 1]}${text[place]}`)
}
