// Owns the check of `presented_by` in the issuers file against the services of the rules.
// Must not check anything else of that file; it is loaded before the rules are.

import { IssuersSchema } from '../../config/issuers-schema.ts'
import { nearest, type Problem, pathText } from '../../config/problem.ts'
import { parseYaml } from '../../config/yaml.ts'
import { safeParse } from '../../config/zod-problems.ts'
import type { Service, ServiceName } from '../ruleset.ts'
import { FINDINGS } from './findings.ts'

/** Finds presenters that are no service, or one that calls nobody. Faults of the file are told where it is loaded. */
export function checkPresenters(
  { file, text }: { readonly file: string; readonly text: string },
  services: ReadonlyMap<ServiceName, Service>,
): readonly Problem[] {
  const yaml = parseYaml(text, file)
  const parsed = yaml.ok ? safeParse(IssuersSchema, yaml.document.value) : undefined
  if (!yaml.ok || parsed?.success !== true) return []
  const problems: Problem[] = []
  for (const { path, name } of presentersIn(parsed.data)) {
    const service = services.get(name)
    if (service?.external === false) continue
    const suggestion = service === undefined ? nearest(name, services.keys()) : undefined
    problems.push({
      file,
      ...yaml.document.positionOf(path),
      path: pathText(path),
      id: 'presenter-unknown',
      message:
        service === undefined ? `no service ${name}` : `${name} is external: it hands in nothing`,
      ...(suggestion === undefined ? {} : { suggestion }),
      severity: FINDINGS['presenter-unknown'].severity,
    })
  }
  return problems
}

interface Presenter {
  readonly path: readonly (string | number)[]
  readonly name: string
}

type Issuers = Readonly<
  Record<string, { readonly presented_by: Readonly<Record<string, readonly string[]>> }>
>

function* presentersIn(issuers: Issuers): Iterable<Presenter> {
  for (const [issuer, { presented_by: presentedBy }] of Object.entries(issuers)) {
    for (const [audience, names] of Object.entries(presentedBy)) {
      for (const [at, name] of names.entries()) {
        yield { path: [issuer, 'presented_by', audience, at], name }
      }
    }
  }
}
