// Owns how `rules init` tells what it drafted and what is left to decide.
// Must not draft anything.
import { printable } from '../../config/problem.ts'
import { namespaceOf } from '../../ruleset/draft/observed.ts'
import { type DraftFile, decisionsIn } from '../../ruleset/draft/text.ts'
import type { CliIo } from '../io.ts'
import { alignTable } from '../table.ts'
import type { Looked } from './init-inputs.ts'

/** More are in the draft; nobody reads them in a terminal. */
const MAX_DECISIONS_SHOWN = 200

/** Writes the table, the decisions that are left, and what was not drafted, to standard error. */
export function tellSummary(
  io: Pick<CliIo, 'stderr'>,
  looked: Looked,
  files: readonly DraftFile[],
): void {
  const edges = edgesByNamespace(files)
  const rows = files.map((file) => [
    file.namespace,
    String(file.services.length),
    String(edges.get(file.namespace) ?? 0),
    String(decisionsIn(file).length),
  ])
  io.stderr(alignTable([['NAMESPACE', 'SERVICES', 'EDGES', 'DECISIONS'], ...rows]))
  tellDecisions(io, files.flatMap(decisionsIn))
  const { settled = 0, leftAlone = {} } = looked.denials ?? {}
  if (settled > 0) io.stderr(`${settled} denied, and allowed by the rules of today\n`)
  const others = Object.entries(leftAlone).map(([why, count]) => `${why} ${count}`)
  if (others.length > 0) {
    io.stderr(printable(`denied for what no new rule is the answer to: ${others.join(', ')}`))
    io.stderr('\n')
  }
}

/** A line for each decision that is left. */
export function tellDecisions(io: Pick<CliIo, 'stderr'>, decisions: readonly string[]): void {
  for (const text of decisions.slice(0, MAX_DECISIONS_SHOWN)) {
    io.stderr(`DECIDE ${printable(text)}\n`)
  }
  const left = decisions.length - MAX_DECISIONS_SHOWN
  if (left > 0) io.stderr(`and ${left} more; the draft has all\n`)
}

/** Edges by the namespace of their targets, in force or to be ticked. */
function edgesByNamespace(files: readonly DraftFile[]): ReadonlyMap<string, number> {
  const targets = new Map<string, string>()
  for (const { name, calls, rules } of files.flatMap(({ services }) => services)) {
    for (const { text } of calls) targets.set(`${name} ${text}`, text)
    for (const { from } of rules) targets.set(`${from} ${name}`, name)
  }
  const counts = new Map<string, number>()
  for (const target of targets.values()) {
    const namespace = namespaceOf(target)
    counts.set(namespace, (counts.get(namespace) ?? 0) + 1)
  }
  return counts
}

/** The same for programs, with all that was seen. */
export function reportOf(
  { seen, policies, denials }: Looked,
  files: readonly { readonly file: DraftFile; readonly text: string; readonly path?: string }[],
): object {
  const { questions: _, ...observations } = seen
  return {
    ok: files.length > 0,
    ...observations,
    policies: policies?.policies,
    denials: denials && {
      read: denials.denials,
      settled: denials.settled,
      leftAlone: denials.leftAlone,
    },
    decisions: files.flatMap(({ file }) =>
      decisionsIn(file).map((text) => ({ namespace: file.namespace, text })),
    ),
    files: files.map(({ file: { namespace }, text, path }) =>
      path === undefined ? { namespace, text } : { namespace, file: path },
    ),
  }
}
