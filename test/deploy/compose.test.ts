// docker-compose.yml, the Dockerfile and the Envoy in front: paths exist, nothing runs with more rights than
// it needs, and the mounted Envoy configuration works with the certificates that prepare.sh makes.
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { load, YAML11_SCHEMA } from 'js-yaml'
import { loadRules } from '../../src/cli/deployment.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import { readEncryptionKeys } from '../../src/keys/encryption-key-files.ts'
import { type NamedObject, startEnvoy, validateEnvoyConfig } from '../support/envoy.ts'
import { envoyForTests } from '../support/envoy-binary.ts'
import { callMesh, seenBy, startEcho, startServer } from '../support/envoy-mesh.ts'

interface ComposeService {
  readonly image: string
  readonly build?: string
  readonly volumes: string[]
  readonly read_only: boolean
  readonly cap_drop: string[]
  readonly security_opt: string[]
  readonly tmpfs: string[]
  readonly network_mode?: string
}

const compose = load(readFileSync('docker-compose.yml', 'utf8'), {
  schema: YAML11_SCHEMA, // merge keys
}) as { services: Record<string, ComposeService>; volumes: Record<string, unknown> }
const ENVOY_YAML = readFileSync('deploy/compose/envoy.yaml', 'utf8')
const CERTIFICATES = '/etc/envoy/certs'
const envoyBinary = envoyForTests()

describe('docker-compose.yml', () => {
  const secrets = mkdtempSync(join(tmpdir(), 'compose-'))
  before(() => execFileSync('bash', ['deploy/compose/prepare.sh', secrets]))
  after(() => rmSync(secrets, { recursive: true, force: true }))

  for (const [name, service] of Object.entries(compose.services)) {
    test(`${name}: read-only root, no capabilities, no new privileges`, () => {
      assert.equal(service.read_only, true)
      assert.deepEqual(service.cap_drop, ['ALL'])
      assert.deepEqual(service.security_opt, ['no-new-privileges:true'])
      assert.equal(service.tmpfs.length, 1)
    })

    test(`${name}: what is mounted exists, and only the data is writable`, () => {
      for (const volume of service.volumes) {
        const [from = '', , mode] = volume.split(':')
        if (from in compose.volumes) continue
        assert.equal(mode, 'ro', volume)
        const made = from.includes('/secrets/') ? join(secrets, basename(from)) : from
        assert.ok(existsSync(made), from)
      }
    })
  }

  test('Envoy shares the network of the service', () => {
    assert.equal(compose.services.envoy?.network_mode, 'service:sts')
  })

  test('serve reads the mounted configuration and rules without an error', () => {
    const loaded = loadSettings({
      configFile: '/etc/mesh-sts/config/sts.yaml',
      env: {},
      readFile: (path) =>
        readFileSync(path.replace('/etc/mesh-sts/config', 'deploy/compose/config'), 'utf8'),
    })
    assert.deepEqual(loaded.problems, [])
    assert.ok(loaded.ok)
    assert.deepEqual(loaded.settings.rules, ['/etc/mesh-sts/rules'])
    const { ruleset, problems } = loadRules(loaded.settings, ['rules'])
    assert.ok(ruleset, JSON.stringify(problems))
  })

  test('the key-encryption key that prepare.sh makes is one', () => {
    const files = { k1: join(secrets, 'k1') }
    assert.equal(readEncryptionKeys({ current: 'k1', files }).ok, true)
  })

  test('prepare.sh does not overwrite what is there', () => {
    const again = spawnSync('bash', ['deploy/compose/prepare.sh', secrets], { encoding: 'utf8' })
    assert.equal(again.status, 1)
    assert.match(again.stderr, /exists/)
  })

  test('Envoy accepts the mounted configuration', envoyBinary.options, async () => {
    const file = join(secrets, 'envoy.yaml')
    writeFileSync(file, ENVOY_YAML.replaceAll(CERTIFICATES, secrets))
    assert.equal(await validateEnvoyConfig(envoyBinary.binary, file), undefined)
  })

  test(
    'P8 through it, a caller with a certificate arrives as one XFCC element',
    envoyBinary.options,
    async () => {
      const app = await startEcho()
      const text = ENVOY_YAML.replaceAll(CERTIFICATES, secrets)
        .replace('port_value: 8443', 'port_value: 0')
        .replace('port_value: 8080', `port_value: ${app.port}`)
      const { listeners, clusters } = (
        load(text) as { static_resources: Record<'listeners' | 'clusters', NamedObject[]> }
      ).static_resources
      const envoy = await startEnvoy({ binary: envoyBinary.binary, listeners, clusters })
      const read = (file: string) => readFileSync(join(secrets, file), 'utf8')
      const tls = {
        rootPem: read('ca.pem'),
        certificate: { certPem: read('checkout.pem'), keyPem: read('checkout.key') },
        server: 'spiffe://cluster.local/ns/mesh-sts/sa/mesh-sts',
        alpn: ['http/1.1'],
      }
      try {
        const call = { port: envoy.port('token'), tls, method: 'POST' }
        const headers = ['x-forwarded-client-cert', 'URI=spiffe://cluster.local/forged']
        const [xfcc = ''] =
          seenBy(await callMesh({ ...call, headers, path: '/token' })).headers[
            'x-forwarded-client-cert'
          ] ?? []
        assert.match(
          xfcc,
          /^By=spiffe:[^,]+;Subject="";URI=spiffe:\/\/cluster\.local\/ns\/boutique\/sa\/checkout$/,
        )
        assert.equal((await callMesh({ ...call, path: '/metrics' })).status, 404)
        await assert.rejects(callMesh({ ...call, tls: { ...tls, certificate: undefined } }))
      } finally {
        await envoy.stop()
        await app.stop()
      }
    },
  )
})

describe('Dockerfile', () => {
  const lines = readFileSync('Dockerfile', 'utf8').replaceAll('\\\n', ' ').split('\n')
  const copied = lines
    .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
    .flatMap((line) => line.split(/\s+/).slice(1, -1))

  test('what it copies exists and is let through by .dockerignore', () => {
    const ignore = readFileSync('.dockerignore', 'utf8').split('\n')
    assert.ok(copied.length > 0)
    for (const path of copied) {
      assert.ok(existsSync(path), path)
      assert.ok(ignore.includes(`!${path}`), path)
    }
  })

  test('it runs as another user than root', () => {
    assert.deepEqual(
      lines.filter((line) => line.startsWith('USER ')),
      ['USER 1000:1000'],
    )
  })

  test('the probe that it names is the one that the manifests name', () => {
    const probe = /HEALTHCHECK .*CMD (\[.*\])/.exec(lines.join('\n'))?.[1] ?? ''
    const manifest = readFileSync('deploy/istio/mesh-sts.yaml', 'utf8')
    const [, script = ''] = JSON.parse(probe) as string[]
    assert.ok(manifest.includes(`[node, ${script}, livez]`), script)
  })
})

describe('health probe', () => {
  const probe = async (port: number) => {
    const [code] = await once(
      spawn(process.execPath, ['deploy/health.mjs', 'readyz', String(port)]),
      'exit',
    )
    return code
  }

  test('0 where the admin listener is ready, 1 where it is not, 1 where nothing listens', async () => {
    let status = 200
    const admin = await startServer(({ url }, response) => {
      response.writeHead(url === '/readyz' ? status : 404).end()
    })
    assert.equal(await probe(admin.port), 0)
    status = 503
    assert.equal(await probe(admin.port), 1)
    await admin.stop()
    assert.equal(await probe(admin.port), 1)
  })
})
