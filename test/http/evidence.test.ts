import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it, type TestContext } from 'node:test'
import { connect, type TLSSocket, type TlsOptions } from 'node:tls'
import { issueSvid, makeCa, type TestCa, type TestCertificate } from '../support/certificates.ts'
import { answers, FORM, type RawAnswer, tokenListener } from '../support/token-listener.ts'

const ca = makeCa('cluster.local')
const server = issueSvid(ca, 'spiffe://cluster.local/ns/mesh-sts/sa/mesh-sts')
const frontend = issueSvid(ca, 'spiffe://cluster.local/ns/boutique/sa/frontend')

const POST = `POST /token HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${FORM.length}\r\n\r\n${FORM}`

/** A listener that ends TLS; `send` posts on one connection and gives what came back. */
async function tlsListener(t: TestContext, changes: Partial<TlsOptions>) {
  const tls = {
    cert: server.certPem,
    key: server.keyPem,
    ca: [ca.certPem],
    requestCert: true,
    rejectUnauthorized: true,
    ...changes,
  }
  const fixture = tokenListener(t, { tls })
  await fixture.app.listen({ host: '127.0.0.1', port: 0 })
  t.after(() => fixture.app.server.closeAllConnections())
  const address = fixture.app.server.address()
  assert.ok(address !== null && typeof address !== 'string')
  const open = async (client: TestCertificate | undefined): Promise<TLSSocket> => {
    const socket = connect({
      port: address.port,
      host: '127.0.0.1',
      ca: [ca.certPem],
      checkServerIdentity: () => undefined,
      ...(client === undefined ? {} : { cert: client.certPem, key: client.keyPem }),
    })
    t.after(() => socket.destroy())
    await once(socket, 'secureConnect')
    return socket
  }
  const send = async (socket: TLSSocket): Promise<RawAnswer> => {
    const one = answers(socket, 1)
    socket.write(POST)
    const [answer] = await one
    assert.ok(answer)
    return answer
  }
  return { ...fixture, open, send }
}

describe('evidence on a listener that ends TLS', () => {
  it('P8 hands on the certificate that TLS verified, on every request of a connection', async (t) => {
    const { open, send, inputs } = await tlsListener(t, {})
    const socket = await open(frontend)
    assert.equal((await send(socket)).status, 200)
    assert.equal((await send(socket)).status, 200)
    for (const { evidence } of inputs) {
      assert.deepEqual(Buffer.from(evidence.peerCertificate ?? []), frontend.der)
      assert.equal(evidence.peerAddress, '127.0.0.1')
    }
    assert.equal(inputs.length, 2)
    assert.equal(inputs[0]?.evidence.peerCertificate, inputs[1]?.evidence.peerCertificate)
  })

  it('P8 keeps connections apart', async (t) => {
    const { open, send, inputs } = await tlsListener(t, {})
    const checkout = issueSvid(ca, 'spiffe://cluster.local/ns/boutique/sa/checkout')
    await send(await open(frontend))
    await send(await open(checkout))
    assert.deepEqual(Buffer.from(inputs[1]?.evidence.peerCertificate ?? []), checkout.der)
  })

  const unverified: [string, TestCertificate | undefined, TestCa][] = [
    ['no certificate', undefined, ca],
    [
      'a certificate of another authority',
      issueSvid(makeCa('cluster.local'), 'spiffe://cluster.local/ns/a/sa/a'),
      ca,
    ],
    [
      'an expired certificate',
      issueSvid(ca, 'spiffe://cluster.local/ns/a/sa/a', { notAfter: new Date(Date.now() - 1000) }),
      ca,
    ],
  ]
  for (const [name, client] of unverified) {
    it(`P8 shows no certificate for ${name}, even where TLS let it pass`, async (t) => {
      const { open, send, inputs } = await tlsListener(t, { rejectUnauthorized: false })
      const socket = await open(client)
      assert.equal((await send(socket)).status, 200)
      assert.equal((await send(socket)).status, 200)
      for (const { evidence } of inputs) assert.ok(!('peerCertificate' in evidence))
      assert.equal(inputs.length, 2)
    })
  }

  it('shows no certificate where none is asked for', async (t) => {
    const { open, send, inputs } = await tlsListener(t, { requestCert: false })
    assert.equal((await send(await open(frontend))).status, 200)
    assert.ok(!('peerCertificate' in (inputs[0]?.evidence ?? {})))
  })

  it('closes a connection that does not speak TLS, and serves on', async (t) => {
    const { open, send, app, refused } = await tlsListener(t, {})
    const address = app.server.address()
    assert.ok(address !== null && typeof address !== 'string')
    const { connect: connectPlain } = await import('node:net')
    const plain = connectPlain(address.port, '127.0.0.1')
    const closed = new Promise((resolve) => plain.once('close', resolve))
    plain.on('error', () => {})
    plain.resume()
    plain.write(POST)
    await closed
    assert.deepEqual(refused, [])
    assert.equal((await send(await open(frontend))).status, 200)
  })
})
