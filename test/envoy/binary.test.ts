// Where the tests find Envoy, and what they do where there is none.
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, describe, test } from 'node:test'
import { envoyForTests, findEnvoy } from '../support/envoy-binary.ts'

describe('finding Envoy', () => {
  const folder = mkdtempSync(join(tmpdir(), 'envoy-binary-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  const place = (...path: string[]) => {
    const file = join(folder, ...path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, '')
    chmodSync(file, 0o755)
    return file
  }
  const empty = join(folder, 'empty')
  mkdirSync(empty)
  const named = place('named')
  const onPath = place('bin', 'envoy')
  const installed = place('root', '.envoy', 'envoy', '_bin', 'envoy')
  const root = join(folder, 'root')

  test('ENVOY_BIN comes first', () => {
    const env = { ENVOY_BIN: named, PATH: dirname(onPath) }
    assert.deepEqual(findEnvoy(env, root), { path: named })
  })

  test('ENVOY_BIN that is wrong is not replaced by another', () => {
    const found = findEnvoy({ ENVOY_BIN: join(folder, 'none'), PATH: dirname(onPath) }, root)
    assert.match('missing' in found ? found.missing : '', /ENVOY_BIN=.* is not executable/)
  })

  test('then the PATH, then .envoy', () => {
    assert.deepEqual(findEnvoy({ PATH: `${empty}:${dirname(onPath)}` }, root), { path: onPath })
    assert.deepEqual(findEnvoy({ PATH: empty }, root), { path: installed })
  })

  test('without any: tests are skipped with a way out', () => {
    const { options } = envoyForTests({ PATH: empty }, empty)
    assert.match(options.skip ?? '', /^Envoy not found: .*; run npm run envoy:install$/)
  })

  test('without any under REQUIRE_ENVOY=1: tests fail', () => {
    assert.throws(() => envoyForTests({ PATH: empty, REQUIRE_ENVOY: '1' }, empty), /not found/)
  })
})
