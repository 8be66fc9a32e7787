import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
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
      handshakeTimeoutMs: 17,
    }
    const server = createServer(() => {}, limits, undefined)
    assert.equal(server.headersTimeout, 11)
    assert.equal(server.requestTimeout, 12)
    assert.equal(server.keepAliveTimeout, 13)
    assert.equal(server.maxConnections, 16)
  })

  it('P5 keeps an idle connection for a minute or so', () => {
    assert.ok(SERVER_LIMITS.keepAliveTimeoutMs >= 60_000)
    assert.ok(SERVER_LIMITS.keepAliveTimeoutMs <= 75_000)
    assert.ok(SERVER_LIMITS.headersTimeoutMs <= SERVER_LIMITS.requestTimeoutMs)
    assert.equal(SERVER_LIMITS.handshakeTimeoutMs, 10_000)
  })

  it('P5 does not wait long for a TLS handshake', { timeout: 10_000 }, async (t) => {
    const limits = { ...SERVER_LIMITS, handshakeTimeoutMs: 20 }
    const server = createServer(() => {}, limits, {})
    t.after(() => server.close())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    t.after(() => socket.destroy())
    socket.on('error', () => {})
    await once(socket, 'close')
  })
})
