import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { type Agent, createServer, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { createMtls } from '../../src/clients/mtls.ts'
import { createTlsContext, type TlsFiles, watchTls } from '../../src/clients/tls-server.ts'
import { issueSvid, makeCa, type TestCa, type TestCertificate } from '../support/certificates.ts'

const CA = makeCa('cluster.local')
const OTHER_CA = makeCa('cluster.local')
const STS = 'spiffe://cluster.local/ns/mesh-sts/sa/mesh-sts'
const CART = 'spiffe://cluster.local/ns/default/sa/cart'
const SERVER = { dns: ['localhost'], ips: ['127.0.0.1'] }

const folders: string[] = []
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))))

async function files(
  server: TestCertificate = issueSvid(CA, STS, SERVER),
  bundle: string | undefined = CA.certPem,
): Promise<TlsFiles & { readonly certFile: string; readonly clientBundleFile: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'mesh-sts-tls-'))
  folders.push(folder)
  const paths = {
    certFile: join(folder, 'cert.pem'),
    keyFile: join(folder, 'key.pem'),
    clientBundleFile: join(folder, 'bundle.pem'),
  }
  await writeFile(paths.certFile, server.certPem)
  await writeFile(paths.keyFile, server.keyPem)
  await writeFile(paths.clientBundleFile, bundle)
  return paths
}

interface Line {
  readonly level: string
  readonly message: string
}

/** A real HTTPS server that answers with the caller's SPIFFE ID. */
async function start(paths: TlsFiles) {
  const context = await createTlsContext(paths)
  const authenticate = createMtls({ trustDomain: 'cluster.local' })
  const server = createServer(context, async (incoming, response) => {
    const certificate = (incoming.socket as TLSSocket).getPeerX509Certificate()
    if (certificate === undefined) return response.end('no certificate')
    const id = await authenticate(certificate.raw, Date.now())
    return response.end(id.ok ? id.value : id.reason)
  })
  const lines: Line[] = []
  const log = (level: string) => (_fields: object, message: string) => {
    lines.push({ level, message })
  }
  let replaced = 0
  const watch = watchTls(server, context, {
    files: paths,
    log: { info: log('info'), error: log('error') },
    onReplaced: () => {
      replaced += 1
    },
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = () =>
    new Promise<void>((resolve) => {
      watch.stop()
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return { port, watch, lines, close, replaced: () => replaced }
}

interface Call {
  readonly ca?: TestCa
  readonly client?: TestCertificate
  readonly agent?: Agent
}

/** The answer's text, or the code of the error. */
function call(port: number, { ca = CA, client, agent }: Call): Promise<string> {
  return new Promise((resolve) => {
    const outgoing = request(
      {
        host: '127.0.0.1',
        port,
        ca: ca.certPem,
        agent: agent ?? false,
        ...(client === undefined ? {} : { cert: client.certPem, key: client.keyPem }),
      },
      (incoming) => {
        let text = ''
        incoming.setEncoding('utf8')
        incoming.on('data', (chunk: string) => {
          text += chunk
        })
        incoming.on('end', () => resolve(text))
      },
    )
    outgoing.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'))
    outgoing.end()
  })
}

const isRefused = (answer: string) => !answer.startsWith('spiffe://')

test('SC-04: a client that the bundle verifies is known by its SPIFFE ID, another gets no connection', async () => {
  const server = await start(await files())
  try {
    assert.equal(await call(server.port, { client: issueSvid(CA, CART) }), CART)
    assert.ok(isRefused(await call(server.port, {})))
    assert.ok(isRefused(await call(server.port, { client: issueSvid(OTHER_CA, CART) })))
    const past = {
      notBefore: new Date(Date.now() - 7_200_000),
      notAfter: new Date(Date.now() - 60_000),
    }
    assert.ok(isRefused(await call(server.port, { client: issueSvid(CA, CART, past) })))
  } finally {
    await server.close()
  }
})

test('TLS 1.1 is not spoken', async () => {
  const server = await start(await files())
  try {
    const client = issueSvid(CA, CART)
    const outcome = await new Promise<string>((resolve) => {
      const socket = connect(
        {
          host: '127.0.0.1',
          port: server.port,
          ca: CA.certPem,
          cert: client.certPem,
          key: client.keyPem,
          minVersion: 'TLSv1.1',
          maxVersion: 'TLSv1.1',
          // Without it this side refuses the old version by itself.
          ciphers: 'DEFAULT@SECLEVEL=0',
        },
        () => resolve('connected'),
      )
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'))
      socket.on('close', () => socket.destroy())
    })
    assert.equal(outcome, 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION')
  } finally {
    await server.close()
  }
})

test('a renewed certificate is served without a restart', async () => {
  const paths = await files()
  const server = await start(paths)
  try {
    const client = issueSvid(CA, CART)
    assert.equal(await server.watch.check(), 'unchanged')
    const renewed = issueSvid(OTHER_CA, STS, SERVER)
    await writeFile(paths.certFile, renewed.certPem)
    await writeFile(paths.keyFile, renewed.keyPem)
    assert.equal(await server.watch.check(), 'replaced')
    assert.equal(server.replaced(), 1)
    assert.equal(await call(server.port, { ca: OTHER_CA, client }), CART)
    assert.ok(isRefused(await call(server.port, { ca: CA, client })))
    assert.equal(await server.watch.check(), 'unchanged')
    assert.deepEqual(server.lines, [{ level: 'info', message: 'tls files replaced' }])
  } finally {
    await server.close()
  }
})

test('a renewed bundle counts: a new root is trusted, a removed one no more', async () => {
  const paths = await files()
  const server = await start(paths)
  try {
    const mine = issueSvid(CA, CART)
    const theirs = issueSvid(OTHER_CA, CART)
    assert.ok(isRefused(await call(server.port, { client: theirs })))
    await writeFile(paths.clientBundleFile, CA.certPem + OTHER_CA.certPem)
    assert.equal(await server.watch.check(), 'replaced')
    assert.equal(await call(server.port, { client: mine }), CART)
    assert.equal(await call(server.port, { client: theirs }), CART)
    await writeFile(paths.clientBundleFile, OTHER_CA.certPem)
    assert.equal(await server.watch.check(), 'replaced')
    assert.ok(isRefused(await call(server.port, { client: mine })))
    assert.equal(await call(server.port, { client: theirs }), CART)
  } finally {
    await server.close()
  }
})

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a removed root ends the resumption of ${version} sessions`, async () => {
    const paths = await files()
    const server = await start(paths)
    const client = issueSvid(CA, CART)
    /** Connects, reads an answer, and gives the session to resume, or undefined where it is refused. */
    const visit = (session?: Buffer) =>
      new Promise<{ reused: boolean; session: Buffer | undefined } | undefined>((resolve) => {
        let latest: Buffer | undefined
        let answered = false
        let reused = false
        const socket = connect({
          host: '127.0.0.1',
          port: server.port,
          ca: CA.certPem,
          cert: client.certPem,
          key: client.keyPem,
          minVersion: version,
          maxVersion: version,
          ...(session === undefined ? {} : { session }),
        })
        socket.on('session', (given: Buffer) => {
          latest = given
        })
        socket.on('secureConnect', () => {
          reused = socket.isSessionReused()
        })
        socket.on('error', () => undefined)
        socket.on('data', (chunk) => {
          answered = chunk.toString().includes(CART)
        })
        socket.on('close', () => resolve(answered ? { reused, session: latest } : undefined))
        socket.write('GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')
      })
    try {
      const first = await visit()
      assert.ok(first?.session)
      const second = await visit(first.session)
      assert.equal(
        second?.reused,
        true,
        'the session must be resumable for this test to say anything',
      )
      await writeFile(paths.clientBundleFile, OTHER_CA.certPem)
      assert.equal(await server.watch.check(), 'replaced')
      assert.equal(await visit(first.session), undefined)
    } finally {
      await server.close()
    }
  })
}

const leaf = issueSvid(CA, STS, SERVER)
const BROKEN: Readonly<
  Record<string, (paths: Awaited<ReturnType<typeof files>>) => Promise<void>>
> = {
  'a certificate whose key has not come yet': ({ certFile }) =>
    writeFile(certFile, issueSvid(CA, STS, SERVER).certPem),
  'an empty certificate': ({ certFile }) => writeFile(certFile, ''),
  'a certificate that is cut off': ({ certFile }) =>
    writeFile(certFile, leaf.certPem.slice(0, 200)),
  'a key that is none': ({ keyFile }) => writeFile(keyFile, 'no key'),
  'a key that is gone': ({ keyFile }) => rm(keyFile),
  'SC-06: an empty bundle is not the system’s roots': ({ clientBundleFile }) =>
    writeFile(clientBundleFile, ''),
  'a bundle without certificates': ({ clientBundleFile }) =>
    writeFile(clientBundleFile, '# nothing\n'),
  'a bundle that is cut off': ({ clientBundleFile }) =>
    writeFile(clientBundleFile, CA.certPem + OTHER_CA.certPem.slice(0, 200)),
  'a bundle whose certificate is no DER': ({ clientBundleFile }) =>
    writeFile(clientBundleFile, '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'),
  'a bundle that holds a leaf': ({ clientBundleFile }) =>
    writeFile(clientBundleFile, CA.certPem + leaf.certPem),
  'a bundle of a size that none has': ({ clientBundleFile }) =>
    writeFile(clientBundleFile, `${CA.certPem}${' '.repeat(1_048_576)}`),
}

for (const [name, breakFiles] of Object.entries(BROKEN)) {
  test(`broken files keep the last good context, and are logged once: ${name}`, async () => {
    const paths = await files()
    const server = await start(paths)
    try {
      await breakFiles(paths)
      assert.equal(await server.watch.check(), 'kept')
      assert.equal(server.lines.length, 1)
      assert.equal(await server.watch.check(), 'kept')
      assert.equal(await call(server.port, { client: issueSvid(CA, CART) }), CART)
      assert.deepEqual(server.lines, [
        { level: 'error', message: 'tls files are not usable, the last stay' },
      ])
      assert.equal(server.replaced(), 0)
    } finally {
      await server.close()
    }
    await assert.rejects(createTlsContext(paths))
  })
}

test('files that were broken are taken once they are whole', async () => {
  const paths = await files()
  const server = await start(paths)
  try {
    const renewed = issueSvid(OTHER_CA, STS, SERVER)
    await writeFile(paths.certFile, renewed.certPem)
    assert.equal(await server.watch.check(), 'kept')
    await writeFile(paths.keyFile, renewed.keyPem)
    assert.equal(await server.watch.check(), 'replaced')
    assert.equal(await call(server.port, { ca: OTHER_CA, client: issueSvid(CA, CART) }), CART)
  } finally {
    await server.close()
  }
})

test('the symlink swap of a mounted secret is seen', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mesh-sts-tls-'))
  folders.push(folder)
  const put = async (name: string, certificate: TestCertificate) => {
    await mkdir(join(folder, name))
    await writeFile(join(folder, name, 'tls.crt'), certificate.certPem)
    await writeFile(join(folder, name, 'tls.key'), certificate.keyPem)
    await symlink(name, join(folder, `${name}.link`))
    await rename(join(folder, `${name}.link`), join(folder, '..data'))
  }
  await put('first', issueSvid(CA, STS, SERVER))
  const paths = {
    certFile: join(folder, '..data', 'tls.crt'),
    keyFile: join(folder, '..data', 'tls.key'),
  }
  const server = await start(paths)
  try {
    await put('second', issueSvid(OTHER_CA, STS, SERVER))
    assert.equal(await server.watch.check(), 'replaced')
    // Without a bundle no certificate is asked for: this listener takes assertions only.
    assert.equal(await call(server.port, { ca: OTHER_CA }), 'no certificate')
  } finally {
    await server.close()
  }
})

test('two checks at once are one', async () => {
  const paths = await files()
  const server = await start(paths)
  try {
    await writeFile(paths.clientBundleFile, CA.certPem + OTHER_CA.certPem)
    const both = await Promise.all([server.watch.check(), server.watch.check()])
    assert.deepEqual(both, ['replaced', 'replaced'])
    assert.equal(server.replaced(), 1)
  } finally {
    await server.close()
  }
})
