// Addresses: strict, and loopback means this machine only.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isLoopback, parseAddress } from '../../src/config/scalars.ts'

describe('addresses', () => {
  const cases: readonly [text: string, host: string | undefined, isLocal?: boolean][] = [
    ['127.0.0.1:8080', '127.0.0.1', true],
    ['127.1.2.3:0', '127.1.2.3', true],
    ['localhost:1', '127.0.0.1', true],
    ['[::1]:8080', '::1', true],
    ['[0:0:0:0:0:0:0:1]:1', '0:0:0:0:0:0:0:1', true],
    ['0.0.0.0:8080', '0.0.0.0', false],
    ['10.127.0.1:1', '10.127.0.1', false],
    ['[::]:1', '::', false],
    ['[1::1]:1', '1::1', false],
    ['[::10:1]:1', '::10:1', false],
    ['[fe80::1]:1', 'fe80::1', false],
    ['[::ffff:10.0.0.1]:1', '::ffff:10.0.0.1', false],
    ['127.0.0.1', undefined],
    ['127.0.0.1:', undefined],
    [':8080', undefined],
    ['8080', undefined],
    ['::1:8080', undefined],
    ['[127.0.0.1]:80', undefined],
    ['127.0.0.1:65536', undefined],
    ['127.0.0.1:080', undefined],
    ['127.0.0.256:80', undefined],
    ['127.0.0.1:80 ', undefined],
    ['localhost.example:80', undefined],
    ['*:80', undefined],
  ]
  for (const [text, host, isLocal] of cases) {
    test(text, () => {
      const address = parseAddress(text)
      assert.equal(address?.host, host)
      if (address !== undefined) assert.equal(isLoopback(address), isLocal)
    })
  }
})
