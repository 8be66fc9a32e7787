// The house: what the documents promise is there, and the rules that no linter knows are kept.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'

const filesIn = (folder: string, ending: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((file) => join(folder, file))
    .filter((file) => file.endsWith(ending))

const SOURCES = filesIn('src', '.ts')
const DOCUMENTS = [
  'README.md',
  ...['docs', 'rules', 'deploy', 'keys'].filter(existsSync).flatMap((f) => filesIn(f, '.md')),
]

describe('the house', () => {
  it('has sources and documents to look at', () => {
    assert.ok(SOURCES.length > 50)
    assert.ok(DOCUMENTS.length > 10)
  })

  for (const file of SOURCES) {
    it(`${file} opens with what it owns`, () => {
      const [first = '', second = ''] = readFileSync(file, 'utf8').split('\n')
      assert.match(first.startsWith('#!') ? second : first, /^\/\/ Owns .{10,}/)
    })
  }

  it('has no file that could hold anything', () => {
    const vague = SOURCES.filter((file) =>
      /\/(?:utils?|types|helpers?|common|misc|index)\.ts$/.test(file),
    )
    assert.deepEqual(vague, [])
  })

  it('has no folder of one file', () => {
    const folders = new Map<string, number>()
    for (const file of SOURCES) folders.set(dirname(file), (folders.get(dirname(file)) ?? 0) + 1)
    assert.deepEqual(
      [...folders].filter(([, files]) => files === 1),
      [],
    )
  })

  it('starts node alike wherever it is started (docs/decisions/0011)', () => {
    const flags = '--max-semi-space-size=4 --max-old-space-size=768'
    assert.ok(readFileSync('src/main.ts', 'utf8').startsWith(`#!/usr/bin/env -S node ${flags}\n`))
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as {
      scripts: Record<string, string>
    }
    assert.equal(scripts.start, `node ${flags} dist/src/main.js dev`)
    assert.equal(scripts['mesh-sts'], `node ${flags} dist/src/main.js`)
    const quoted = flags
      .split(' ')
      .map((flag) => `"${flag}"`)
      .join(', ')
    assert.ok(readFileSync('Dockerfile', 'utf8').includes(`ENTRYPOINT ["node", ${quoted}, `))
  })
})

describe('documents', () => {
  for (const file of DOCUMENTS) {
    it(`${file} links to what is there`, () => {
      const text = readFileSync(file, 'utf8')
      for (const [, target = ''] of text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)/g)) {
        assert.ok(existsSync(join(dirname(file), target)), `${file} links to ${target}`)
      }
    })
  }

  it('names files of the source that exist', () => {
    for (const file of DOCUMENTS) {
      for (const [, path = ''] of readFileSync(file, 'utf8').matchAll(
        /`((?:src|test|scripts|deploy|migrations)\/[\w./-]+\.\w+)`/g,
      )) {
        assert.ok(existsSync(path), `${file} names ${path}`)
      }
    }
  })

  it('numbers its decisions without gap', () => {
    const numbers = readdirSync('docs/decisions')
      .sort()
      .map((name) => Number(name.slice(0, 4)))
    assert.deepEqual(
      numbers,
      numbers.map((_, index) => index + 1),
    )
  })
})
