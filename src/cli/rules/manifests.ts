// Owns reading Kubernetes objects from files: several YAML documents in one, JSON, whole folders.
// Must not know any kind of object.

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { readBoundedFile } from '../../config/bounded-file.ts'
import type { Problem } from '../../config/problem.ts'
import { MAX_YAML_LENGTH, parseYaml } from '../../config/yaml.ts'

/** All objects of all files, or what is wrong with any of them: half a cluster would be misread. */
export type Manifests =
  | { readonly ok: true; readonly objects: readonly unknown[] }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/**
 * Reads a file, or the `*.yaml`, `*.yml` and `*.json` of a folder and those below it. Only documents in which
 * the kind stands are read, by the strict parser: what others may hold (anchors, templates) does not matter.
 */
export function readManifests(path: string, kind: string): Manifests {
  const objects: unknown[] = []
  const problems: Problem[] = []
  const files = filesAt(path)
  if (files?.length === 0)
    problems.push(problemAt(path, 'no manifest (*.yaml, *.yml, *.json) is here'))
  for (const file of files ?? [path]) {
    const text = textOf(file)
    if (text === undefined) problems.push(problemAt(file, 'cannot read this file'))
    else readDocuments({ file, text, kind }, objects, problems)
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, objects }
}

/** Undefined where the path cannot be read. */
function filesAt(path: string): string[] | undefined {
  try {
    return statSync(path).isDirectory() ? filesIn(path).sort() : [path]
  } catch {
    return undefined
  }
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name.startsWith('.')) return []
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return filesIn(path)
    return /\.(?:ya?ml|json)$/.test(entry.name) ? [path] : []
  })
}

/** `kubectl get -A -o yaml` of some ten thousand policies. */
const MAX_MANIFEST_BYTES = 64 * 1024 * 1024

function textOf(file: string): string | undefined {
  try {
    return readBoundedFile(file, MAX_MANIFEST_BYTES).toString('utf8')
  } catch {
    return undefined
  }
}

/** YAML 1.2 §9.1.4: a line that begins so begins a document, whatever it stands in. */
const DOCUMENT_START = /^---(?=\s|$)/m

function readDocuments(
  { file, text, kind }: Readonly<Record<'file' | 'text' | 'kind', string>>,
  objects: unknown[],
  problems: Problem[],
): void {
  if (text.length > MAX_YAML_LENGTH) {
    problems.push(problemAt(file, `the file is larger than ${MAX_YAML_LENGTH / 1024 / 1024} MiB`))
    return
  }
  let line = 0
  for (const part of text.split(DOCUMENT_START)) {
    const start = line
    line += part.split('\n').length - 1
    if (!part.includes(kind)) continue
    const read = parseYaml(part, file)
    if (read.ok) objects.push(read.document.value)
    else problems.push(...read.problems.map((one) => ({ ...one, line: one.line + start })))
  }
}

const problemAt = (file: string, message: string): Problem => ({
  file,
  line: 0,
  column: 0,
  path: '',
  message,
  severity: 'error',
})
