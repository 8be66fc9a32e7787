// Owns the way from a request in a file or on a command line to a written exchange, for `rules explain`.
// Must not read files.
import type { Problem } from '../../config/problem.ts'
import type { YamlDocument } from '../../config/yaml.ts'
import { problemsOfZod, safeParse } from '../../config/zod-problems.ts'
import type { ScenarioEntry } from './scenario.ts'
import { checkRequest, reporter, type TestWorld } from './test-file.ts'
import { RequestFileSchema } from './test-schema.ts'

/** A written request and the namespace of its short names; or what is wrong with it. */
export type ReadRequest =
  | { readonly ok: true; readonly entry: ScenarioEntry; readonly namespace: string }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** Reads a document that holds one request. */
export function readRequest(document: YamlDocument, world: TestWorld): ReadRequest {
  const parsed = safeParse(RequestFileSchema, document.value)
  if (!parsed.success) {
    return { ok: false, problems: problemsOfZod(document, parsed.error, RequestFileSchema) }
  }
  const { namespace: written, ...entry } = parsed.data
  const problems: Problem[] = []
  const report = reporter(problems, document)
  const namespaces = written === undefined ? namespacesOf(entry.caller, world) : [written]
  const [namespace = '', another] = namespaces
  if (another !== undefined) {
    const message = `${namespaces.join(' and ')} have a service of this name: write one of them before it, with a slash`
    report(['caller'], message)
  } else {
    checkRequest(entry, [], { ...world, namespace, report })
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, entry, namespace }
}

/** Where nothing is said, a name means the one service that has it. */
function namespacesOf(caller: string, { ruleset }: TestWorld): string[] {
  const [first = '', rest] = caller.split('/')
  if (rest !== undefined && !caller.startsWith('spiffe:')) return [first]
  const found = new Set<string>()
  for (const { name, namespace } of ruleset.services.values()) {
    if (name === `${namespace}/${caller}`) found.add(namespace)
  }
  return [...found]
}
