import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createServer, SERVER_LIMITS } from '../../src/http/server.ts'

describe('createServer', () => {
  it('holds each connection to its limits', () => {
    const limits = {
      headersTimeoutMs: 11,
      requestTimeoutMs: 12,
      keepAliveTimeoutMs: 13,
      checkEveryMs: 14,
      maxHeaderBytes: 15,
      maxConnections: 16,
    }
    const server = createServer(() => {}, limits, undefined)
    assert.equal(server.headersTimeout, 11)
    assert.equal(server.requestTimeout, 12)
    assert.equal(server.keepAliveTimeout, 13)
    assert.equal(server.maxConnections, 16)
  })

  it('outlasts the hour for which Envoy keeps an idle connection', () => {
    assert.ok(SERVER_LIMITS.keepAliveTimeoutMs > 3_600_000)
    assert.ok(SERVER_LIMITS.headersTimeoutMs <= SERVER_LIMITS.requestTimeoutMs)
  })
})
