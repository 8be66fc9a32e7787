// Owns how an edge is written on a command line. Must not know where the text comes from.
import { clip } from '../../config/problem.ts'
import { fullName } from '../names.ts'
import type { ServiceName } from '../ruleset.ts'
import { isScope, isServiceName, type Observations, observed } from './observed.ts'

/** What {@link readEdge} gives. */
export type ReadEdge =
  | { readonly ok: true; readonly seen: Observations }
  | { readonly ok: false; readonly message: string }

/** What was typed, in a message. */
const MAX_SHOWN = 120

/**
 * Reads `caller:target` or `caller:target=scope,scope`: no character in it means anything to a shell. A
 * name without a namespace belongs to `namespace`.
 */
export function readEdge(text: string, namespace: string | undefined): ReadEdge {
  const shown = JSON.stringify(clip(text, MAX_SHOWN))
  const [, caller, target, scopeText] = /^([^:=]*):([^:=]*)(?:=(.*))?$/s.exec(text) ?? []
  if (caller === undefined || target === undefined) {
    return refuse(`${shown} is no edge: write caller:target or caller:target=scope,scope`)
  }
  const names: ServiceName[] = []
  for (const reference of [caller, target]) {
    const name = fullName(reference, namespace ?? '')
    if (isServiceName(name)) names.push(name)
    else if (namespace === undefined && isServiceName(fullName(reference, 'n'))) {
      return refuse(`${shown}: ${reference} has no namespace: write one before it, or --namespace`)
    } else {
      return refuse(
        `${shown}: ${JSON.stringify(clip(reference, MAX_SHOWN))} is no service: write name or namespace/name, in lower-case letters, digits and hyphens`,
      )
    }
  }
  const [from = '', to = ''] = names
  const scopes = scopeText === undefined ? [] : [...new Set(scopeText.split(','))]
  const wrong = scopes.find((scope) => !isScope(scope))
  if (wrong !== undefined) {
    return refuse(`${shown}: ${JSON.stringify(clip(wrong, MAX_SHOWN))} is no scope`)
  }
  return {
    ok: true,
    seen: observed({
      services: names.map((name) => ({ name, by: 'name', identity: undefined })),
      edges: [{ from, to, scopes, source: 'on the command line', hints: [] }],
    }),
  }
}

const refuse = (message: string): ReadEdge => ({ ok: false, message })
