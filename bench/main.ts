// Owns `npm run bench`: this service with everything on against a bare server, side by side in one run.
// Must not gate anything by time: it prints ratios and says where a target is missed.
import { type ChildProcess, spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { decisionCost } from './decision-cost.ts'
import {
  type Fixture,
  MAIN,
  makeFixture,
  NODE_FLAGS,
  nameOf,
  SERVICES,
  subjectToken,
} from './fixture.ts'
import { formRequest, type LoadResult, load } from './load.ts'
import { cpuSeconds, peakMegabytes } from './process.ts'
import { rulesLoad } from './rules-load.ts'

const CONNECTIONS = 32
const ROUNDS = 3
const REQUESTS = Number(process.env.BENCH_REQUESTS ?? 12_000)
const WARM_UP = 2_000
const REUSE = 10

interface Server {
  readonly name: string
  readonly child: ChildProcess
  readonly port: number
  readonly readySeconds: number
  readonly request: (token: string, index: number) => Buffer
}

interface Measured extends LoadResult {
  readonly cpuMs: number
}

const fields = (token: string, target: number) => ({
  grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
  subject_token: token,
  subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
  audience: `https://${nameOf(target)}.bench.example`,
  scope: `${nameOf(target)}:read`,
})

/** Waits for the first line of output that `read` makes a port of. */
function portOf(child: ChildProcess, read: (line: string) => number | undefined): Promise<number> {
  return new Promise((resolve, reject) => {
    let pending = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      pending += String(chunk)
      const lines = pending.split('\n')
      pending = lines.pop() ?? ''
      for (const line of lines) {
        const port = read(line)
        if (port !== undefined) resolve(port)
      }
    })
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
  })
}

async function startBare({ issuerJwk }: Fixture): Promise<Server> {
  const started = performance.now()
  const child = spawn(process.execPath, [join(process.cwd(), 'dist/bench/bare-server.js')], {
    env: { ...process.env, BENCH_ISSUER_JWK: JSON.stringify(issuerJwk) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const port = await portOf(child, (line) => Number(line) || undefined)
  return {
    name: 'bare fastify + jose',
    child,
    port,
    readySeconds: (performance.now() - started) / 1000,
    request: (token, index) => formRequest(port, fields(token, index + 1)),
  }
}

async function startSts({ config }: Fixture): Promise<Server> {
  const started = performance.now()
  const child = spawn(process.execPath, [...NODE_FLAGS, MAIN, 'serve', '--config', config], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const addresses = new Map<string, number>()
  const port = await portOf(child, (line) => {
    if (!line.includes('"message":"serving"')) return undefined
    const serving = JSON.parse(line) as { addresses: Record<string, { port: number }> }
    for (const [name, address] of Object.entries(serving.addresses))
      addresses.set(name, address.port)
    return addresses.get('token')
  })
  await untilReady(addresses.get('admin') ?? 0)
  return {
    name: 'mesh-sts, everything on',
    child,
    port,
    readySeconds: (performance.now() - started) / 1000,
    request: (token, index) => {
      const caller = `spiffe://cluster.local/ns/bench/sa/${nameOf(index)}`
      const xfcc = `By=spiffe://cluster.local/ns/mesh-sts/sa/mesh-sts;Hash=${'ab'.repeat(32)};Subject="";URI=${caller}`
      // Callers are spread over all services, so that rules and identities are too.
      return formRequest(port, fields(token, index + 1), { 'X-Forwarded-Client-Cert': xfcc })
    },
  }
}

async function untilReady(port: number): Promise<void> {
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined)
    if (answer?.status === 200) return
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Sends tokens to a server, each `reuse` times. */
async function measure(
  server: Server,
  tokens: readonly string[],
  reuse: number,
  connections: number,
): Promise<Measured> {
  const requests: Buffer[] = []
  for (let turn = 0; turn < reuse; turn++) {
    for (const [index, token] of tokens.entries()) {
      requests.push(server.request(token, (index * 7 + turn) % SERVICES))
    }
  }
  const before = cpuSeconds(server.child)
  const result = await load(server.port, requests, connections)
  if (Object.keys(result.failures).length > 0) {
    throw new Error(`${server.name} answered ${JSON.stringify(result.failures)}`)
  }
  return { ...result, cpuMs: ((cpuSeconds(server.child) - before) * 1000) / result.requests }
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

/** Both servers in turn, several rounds, so that what else the machine does meets both. */
async function compare(
  title: string,
  servers: readonly [Server, Server],
  tokensOf: () => readonly string[],
  reuse: number,
  connections: number,
): Promise<number> {
  const runs = new Map<Server, Measured[]>(servers.map((server) => [server, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const server of servers) {
      runs.get(server)?.push(await measure(server, tokensOf(), reuse, connections))
    }
  }
  const middle = (server: Server, of: (run: Measured) => number) =>
    median((runs.get(server) ?? []).map(of))
  const [bare, sts] = servers
  const ratio = middle(sts, (run) => run.perSecond) / middle(bare, (run) => run.perSecond)
  console.log(`\n${title} (${connections} connection${connections === 1 ? '' : 's'})`)
  console.table(
    Object.fromEntries(
      servers.map((server) => [
        server.name,
        {
          'exchanges/s': Math.round(middle(server, (run) => run.perSecond)),
          ratio: Number(
            (middle(server, (run) => run.perSecond) / middle(bare, (run) => run.perSecond)).toFixed(
              2,
            ),
          ),
          'CPU ms/exchange': Number(middle(server, (run) => run.cpuMs).toFixed(3)),
          'p50 ms': Number(middle(server, (run) => run.p50Ms).toFixed(2)),
          'p99 ms': Number(middle(server, (run) => run.p99Ms).toFixed(2)),
        },
      ]),
    ),
  )
  return ratio
}

const verdict = (what: string, value: number, target: number, unit: string, atLeast: boolean) => {
  const met = atLeast ? value >= target : value <= target
  const sign = atLeast ? '≥' : '≤'
  console.log(
    `${met ? 'met   ' : 'MISSED'}  ${what}: ${value.toFixed(2)}${unit} (target ${sign} ${target}${unit})`,
  )
}

const fixture = makeFixture()
const fresh = (count: number) => Array.from({ length: count }, () => subjectToken(fixture))
const servers: [Server, Server] = [await startBare(fixture), await startSts(fixture)]
try {
  const [, sts] = servers
  for (const server of servers) await measure(server, fresh(WARM_UP), 1, CONNECTIONS)
  const unseen = await compare(
    'Every subject token new',
    servers,
    () => fresh(REQUESTS),
    1,
    CONNECTIONS,
  )
  const reused = await compare(
    `Each subject token exchanged ${REUSE} times`,
    servers,
    () => fresh(REQUESTS / REUSE),
    REUSE,
    CONNECTIONS,
  )
  await compare('Every subject token new', servers, () => fresh(REQUESTS / 8), 1, 1)
  const decision = decisionCost()
  const rules = await rulesLoad()
  console.log('')
  verdict('exchanges/s against bare, every token new', unseen, 0.9, ' ×', true)
  verdict(`exchanges/s against bare, each token ${REUSE} times`, reused, 1.2, ' ×', true)
  verdict('peak RSS', peakMegabytes(sts.child), 150, ' MB', false)
  verdict('time to ready (1,000 services, 5,000 rules)', sts.readySeconds, 1, ' s', false)
  verdict('decision at 100,000 rules against 10', decision, 1.3, ' ×', false)
  verdict('loading 100,000 rules', rules.seconds, 3, ' s', false)
  verdict('peak RSS of loading them', rules.megabytes, 400, ' MB', false)
} finally {
  for (const { child } of servers) child.kill('SIGTERM')
  rmSync(fixture.folder, { recursive: true, force: true })
}
