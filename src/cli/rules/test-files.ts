// Owns finding and reading test files (`*.test.yaml`) beside the rules. Must not understand them.

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { readBoundedFile } from '../../config/bounded-file.ts'
import type { Problem } from '../../config/problem.ts'
import { isTestFile, type RuleSource } from '../../ruleset/load.ts'

/**
 * Reads the test files of folders (recursively) and those that are named. Of a rule file that is named
 * alone the tests are those of its name: `shop.test.yaml` beside `shop.yaml`.
 */
/** What the YAML reader takes. */
const MAX_TEST_FILE_BYTES = 16 * 1024 * 1024

export function readTestSources(paths: readonly string[]): {
  readonly sources: readonly RuleSource[]
  readonly problems: readonly Problem[]
} {
  const problems: Problem[] = []
  const files = new Set<string>()
  for (const path of paths) {
    try {
      for (const file of testFilesOf(path)) files.add(file)
    } catch {
      problems.push(noPlace(path, 'cannot read this file or folder of tests'))
    }
  }
  const sources: RuleSource[] = []
  for (const file of [...files].sort()) {
    try {
      sources.push({ file, text: readBoundedFile(file, MAX_TEST_FILE_BYTES).toString('utf8') })
    } catch {
      problems.push(noPlace(file, 'cannot read this file'))
    }
  }
  return { sources, problems }
}

function testFilesOf(path: string): string[] {
  if (statSync(path).isDirectory()) return testFilesIn(path)
  if (isTestFile(path)) return [path]
  const stem = path.replace(/\.ya?ml$/, '')
  return [`${stem}.test.yaml`, `${stem}.test.yml`].filter(exists)
}

/** As rule files are found: hidden entries are the other side of Kubernetes' links. */
function testFilesIn(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    if (name.startsWith('.')) return []
    const path = join(folder, name)
    if (statSync(path).isDirectory()) return testFilesIn(path)
    return isTestFile(name) ? [path] : []
  })
}

const exists = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined

const noPlace = (file: string, message: string): Problem => ({
  file,
  line: 0,
  column: 0,
  path: '',
  message,
  severity: 'error',
})
