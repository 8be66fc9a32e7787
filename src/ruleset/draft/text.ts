// Owns the text of a drafted rule file: it loads as it is, and what is behind a `#` loads once it is decided.
// Must not decide what is in it. Text from outside stands in comments, on one line, or in quoted scalars.
import { clip, printable } from '../../config/problem.ts'
import type { ServiceName } from '../ruleset.ts'
import { namespaceOf } from './observed.ts'
import type { Plan, PlannedItem, PlannedRule, PlannedService } from './planned.ts'

/** What a drafted file is made of. */
export interface DraftFile {
  readonly namespace: string
  readonly services: readonly PlannedService[]
  readonly questions: readonly string[]
  /** What it was drafted from, for people. */
  readonly sources: string
}

/** What a person has to replace; no issuer is called so. */
const PLACEHOLDER = 'DECIDE'
const MAX_LINE = 110
/** A comment is read by people. */
const MAX_COMMENT = 1_200

/**
 * One file for each namespace that has services, as the language has it; where none has, for those of questions.
 * A question without a file of its own stands in the first.
 */
export function draftFiles({ services, questions }: Plan, sources: string): readonly DraftFile[] {
  const own = services.map(({ name }) => namespaceOf(name))
  const asked = questions.flatMap(({ namespace }) => namespace ?? [])
  const names = [...new Set(own.length > 0 ? own : asked)].sort()
  const files = new Map(
    names.map((namespace) => [
      namespace,
      { namespace, sources, services: [] as PlannedService[], questions: [] as string[] },
    ]),
  )
  const [first] = files.values()
  for (const service of services) files.get(namespaceOf(service.name))?.services.push(service)
  for (const { namespace = '', text } of questions) {
    ;(files.get(namespace) ?? first)?.questions.push(text)
  }
  return [...files.values()]
}

/** All that a person must decide in a file. */
export const decisionsIn = ({ services, questions }: Pick<DraftFile, 'services' | 'questions'>) => [
  ...questions,
  ...services.flatMap((service) => [
    ...service.questions,
    ...service.rules.map(({ question }) => question),
  ]),
]

/** Writes the file. */
export function draftText({ namespace, services, questions, sources }: DraftFile): string {
  const drafted = services.filter(({ status }) => status === 'drafted')
  const proposed = services.filter(({ status }) => status === 'proposed')
  const existing = services.filter(({ status }) => status === 'existing')
  return [
    ...comment(0, `Drafted by mesh-sts rules init from ${sources}.`),
    ...comment(0, ...HEADER),
    ...(questions.length === 0 ? [] : ['#', ...questions.flatMap((text) => decide(0, text))]),
    '',
    `namespace: ${scalar(namespace)}`,
    drafted.length === 0 ? 'services: {}' : 'services:',
    ...drafted.flatMap((service) => ['', ...entryLines(service)]),
    ...section(proposed, PROPOSED),
    ...section(existing, EXISTING),
    '',
  ].join('\n')
}

const HEADER = [
  'It grants nothing: a token needs a rule, and every rule here is behind a # until somebody has decided it.',
  'Each DECIDE is a question. Lines that begin with # and two spaces are YAML: to tick one, take its # away',
  '(of a rule, that of `accepts:` as well), then replace what says DECIDE and fill what is empty.',
  '`rules check` tells what is still missing.',
]
const PROPOSED =
  'Not in your rules: to add one, tick it; where `services` above is {}, take the braces away.'
const EXISTING = 'In your rules already: what you tick goes into the entry that is there.'

const section = (services: readonly PlannedService[], title: string): string[] =>
  services.length === 0
    ? []
    : ['', ...comment(2, title), ...services.flatMap((service) => ['', ...entryLines(service)])]

/** One entry. All of it is behind `#` unless it is drafted. */
function entryLines(service: PlannedService): string[] {
  const { name, status, identity, scopes, calls, rules, questions } = service
  const isLive = status === 'drafted'
  const at = namespaceOf(name)
  const key = name.slice(at.length + 1)
  const vocabulary: readonly PlannedItem[] =
    scopes.length === 0 && status !== 'existing' && rules.length > 0
      ? [{ text: PLACEHOLDER, inForce: false }]
      : scopes
  const body = [
    ...(identity === undefined ? [] : [line(isLive, 4, `identity: ${scalar(identity)}`)]),
    ...listLines('scopes', vocabulary, (text) => text),
    ...listLines('calls', calls, (text) => reference(text, at)),
  ]
  const isEmpty = !body.some((text) => !text.startsWith('#'))
  return [
    ...questions.flatMap((text) => decide(2, text)),
    line(isLive, 2, `${scalar(key)}:${!isLive && body.length + rules.length === 0 ? ' {}' : ''}`),
    // An entry needs a key; this one says what holds, and no line to tick has it.
    ...(isLive && isEmpty ? [line(true, 4, 'claims: []')] : []),
    ...body,
    ...ruleLines(rules, at),
  ]
}

/** A list on one line where all of it is in force and fits, else an item a line. */
function listLines(
  key: string,
  items: readonly PlannedItem[],
  write: (text: string) => string,
): string[] {
  if (items.length === 0) return []
  const texts = items.map(({ text }) => scalar(write(text)))
  const short = `${key}: [${texts.join(', ')}]`
  const isLive = items.some(({ inForce }) => inForce)
  if (
    short.length <= MAX_LINE &&
    items.every(({ inForce, note }) => inForce === isLive && note === undefined)
  ) {
    return [line(isLive, 4, short)]
  }
  return [
    line(isLive, 4, `${key}:`),
    ...items.map(({ inForce, note }, index) => line(inForce, 6, `- ${texts[index]}`, note)),
  ]
}

function ruleLines(rules: readonly PlannedRule[], namespace: string): string[] {
  if (rules.length === 0) return []
  const lines = rules.flatMap(({ from, issuer, scopes, question }) => [
    ...decide(6, question),
    line(false, 6, `- from: ${scalar(reference(from, namespace))}`),
    line(false, 8, `issuer: ${scalar(issuer ?? PLACEHOLDER)}`),
    line(false, 8, 'scopes:'),
    ...(scopes.length === 0 ? [line(false, 10, `${PLACEHOLDER}: []`)] : []),
    ...scopes.map(({ scope, justification, note }) =>
      line(false, 10, `${scalar(scope)}: ${justificationText(justification)}`, note),
    ),
  ])
  return [line(false, 4, 'accepts:'), ...lines]
}

/** All that was brought every time, together: the narrowest that covers what was asked. */
function justificationText(scopes: readonly string[]): string {
  const list = `[${scopes.map(scalar).join(', ')}]`
  return scopes.length > 1 ? `{all: ${list}}` : list
}

/** A name within its own namespace is short. */
const reference = (name: ServiceName, namespace: string): string =>
  namespaceOf(name) === namespace ? name.slice(namespace.length + 1) : name

/** A line of YAML; one that is not in force has `#` before its indentation, and is right when that is taken away. */
const line = (inForce: boolean, indent: number, text: string, note?: string): string =>
  `${inForce ? '' : '#'}${' '.repeat(indent)}${text}${note === undefined ? '' : `  # ${printable(note)}`}`

const decide = (indent: number, text: string): string[] => comment(indent, `DECIDE ${text}`)

/**
 * Lines of comment. White space is one space and nothing else than `# ` begins a line, so that text from a
 * cluster or from callers can neither end a comment nor look like a line to tick.
 */
function comment(indent: number, ...texts: readonly string[]): string[] {
  const lines: string[] = []
  for (const text of texts) {
    let open = ''
    for (const word of clip(printable(text), MAX_COMMENT).split(/\s+/)) {
      if (open !== '' && open.length + word.length >= MAX_LINE - indent) {
        lines.push(open)
        open = word
      } else open = open === '' ? word : `${open} ${word}`
    }
    lines.push(open)
  }
  return lines.map((text) => `${' '.repeat(indent)}# ${text}`)
}

/** Plain scalars that no YAML reader takes for anything but text. */
const PLAIN = /^[A-Za-z](?:[A-Za-z0-9._/:-]*[A-Za-z0-9])?$/
/** YAML 1.1 and 1.2 read these as something else. */
const NO_TEXT = /^(?:true|false|null|yes|no|on|off|y|n)$/i

/** A scalar, quoted where it is not plainly text. */
function scalar(text: string): string {
  if (PLAIN.test(text) && !NO_TEXT.test(text)) return text
  const quoted = JSON.stringify(text)
  return quoted.replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
