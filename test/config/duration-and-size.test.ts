// Durations and sizes: strict grammars that invert.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { formatDuration, parseDuration } from '../../src/config/duration.ts'
import { formatSize, parseSize } from '../../src/config/size.ts'

describe('durations', () => {
  const cases: readonly [text: string, milliseconds: number | undefined][] = [
    ['500ms', 500],
    ['30s', 30_000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['30d', 2_592_000_000],
    ['0s', undefined],
    ['05m', undefined],
    ['5', undefined],
    ['5 m', undefined],
    ['5M', undefined],
    ['1.5h', undefined],
    ['1h30m', undefined],
    ['-1h', undefined],
    ['5min', undefined],
    ['٥m', undefined],
    ['9999999999s', undefined],
    ['5m\n', undefined],
    ['', undefined],
  ]
  for (const [text, expected] of cases) {
    test(JSON.stringify(text), () => assert.equal(parseDuration(text), expected))
  }
  test('what is formatted is parsed back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 999_999_999 }), (ms) => {
        assert.equal(parseDuration(formatDuration(ms)), ms)
      }),
    )
  })
  test('in the largest whole unit', () => {
    assert.deepEqual([7_200_000, 90_000, 86_400_000, 1500].map(formatDuration), [
      '2h',
      '90s',
      '1d',
      '1500ms',
    ])
  })
})

describe('sizes', () => {
  const cases: readonly [text: string, bytes: number | undefined][] = [
    ['20GB', 20e9],
    ['4GiB', 4 * 2 ** 30],
    ['1kB', 1000],
    ['500MB', 5e8],
    ['1TiB', 2 ** 40],
    ['0GB', undefined],
    ['20G', undefined],
    ['20gb', undefined],
    ['20', undefined],
    ['1.5GB', undefined],
    ['20 GB', undefined],
    ['', undefined],
  ]
  for (const [text, expected] of cases) {
    test(JSON.stringify(text), () => assert.equal(parseSize(text), expected))
  }
  test('formatted for people', () => {
    assert.deepEqual([20e9, 1536, 12, 2.5e12].map(formatSize), ['20GB', '1.5kB', '12B', '2.5TB'])
  })
})
