import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { assertionFailure } from '../../src/clients/assertion.ts'
import { createTokenReview, type TokenReviewOptions } from '../../src/clients/token-review.ts'
import type { Reason } from '../../src/oauth/reasons.ts'
import { issueSvid, makeCa } from '../support/certificates.ts'

const CA = makeCa('cluster.local')
const OTHER_CA = makeCa('cluster.local')
const AUDIENCE = 'https://sts.example'
const SUB = 'system:serviceaccount:shop:cart'
const TOKEN = { token: 'aaa.bbb.ccc', hash: 'h1' }

/** As kube-apiserver answers for a good token. */
const GOOD = {
  apiVersion: 'authentication.k8s.io/v1',
  kind: 'TokenReview',
  metadata: {},
  spec: { token: TOKEN.token, audiences: [AUDIENCE] },
  status: {
    authenticated: true,
    user: {
      username: SUB,
      uid: 'a1',
      groups: ['system:serviceaccounts', 'system:authenticated'],
      extra: { 'authentication.kubernetes.io/pod-name': ['cart-7d'] },
    },
    audiences: [AUDIENCE],
  },
}

interface Question {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly authorization: string | undefined
  readonly body: unknown
}

type Respond = (response: ServerResponse) => void
const json =
  (body: unknown, status = 201): Respond =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))

let server: Server
let folder: string
let options: TokenReviewOptions
let respond: Respond
const questions: Question[] = []

before(async () => {
  const own = issueSvid(CA, 'spiffe://cluster.local/api', {
    dns: ['localhost'],
    ips: ['127.0.0.1'],
  })
  server = createServer({ cert: own.certPem, key: own.keyPem }, answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  folder = await mkdtemp(join(tmpdir(), 'mesh-sts-review-'))
  options = {
    apiServer: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    audience: AUDIENCE,
    tokenFile: join(folder, 'token'),
    caFile: join(folder, 'ca.crt'),
  }
})

beforeEach(async () => {
  questions.length = 0
  respond = json(GOOD)
  await writeFile(options.tokenFile, 'own-token-1\n')
  await writeFile(options.caFile, CA.certPem)
})

after(async () => {
  server.close()
  server.closeAllConnections()
  await rm(folder, { recursive: true })
})

function answer(incoming: IncomingMessage, response: ServerResponse) {
  let text = ''
  incoming.setEncoding('utf8')
  incoming.on('data', (chunk: string) => {
    text += chunk
  })
  incoming.on('end', () => {
    const { method, url, headers } = incoming
    questions.push({ method, url, authorization: headers.authorization, body: JSON.parse(text) })
    respond(response)
  })
}

/** Asks once, and ends as the reason or 'ok'. */
async function ask(change: Partial<TokenReviewOptions> = {}, token = TOKEN, sub = SUB) {
  const { review, stop } = createTokenReview({ ...options, ...change })
  try {
    const result = await review(token, sub)
    return result.ok ? 'ok' : assertionFailure(result).reason
  } finally {
    stop()
  }
}

test('the question is a TokenReview with our audience and our own token', async () => {
  assert.equal(await ask(), 'ok')
  assert.deepEqual(questions, [
    {
      method: 'POST',
      url: '/apis/authentication.k8s.io/v1/tokenreviews',
      authorization: 'Bearer own-token-1',
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        spec: { token: TOKEN.token, audiences: [AUDIENCE] },
      },
    },
  ])
})

test('our own token and the authority are read again each time', async () => {
  const { review, stop } = createTokenReview(options)
  try {
    assert.equal((await review(TOKEN, SUB)).ok, true)
    await writeFile(options.tokenFile, 'own-token-2')
    assert.equal((await review(TOKEN, SUB)).ok, true)
    assert.equal(questions[1]?.authorization, 'Bearer own-token-2')
    await writeFile(options.caFile, OTHER_CA.certPem)
    assert.equal((await review(TOKEN, SUB)).ok, false)
  } finally {
    stop()
  }
})

test('the answer is asked for again each time: a deleted pod counts at once', async () => {
  const { review, stop } = createTokenReview(options)
  try {
    assert.equal((await review(TOKEN, SUB)).ok, true)
    respond = json({ ...GOOD, status: { error: 'pod is gone' } })
    assert.equal((await review(TOKEN, SUB)).ok, false)
  } finally {
    stop()
  }
})

const status = (change: object): Respond => json({ ...GOOD, status: { ...GOOD.status, ...change } })
const user = (username: unknown): Respond => status({ user: { ...GOOD.status.user, username } })

const DENIED: Readonly<Record<string, readonly [Reason, Respond]>> = {
  'a token that the server does not know': [
    'client_token_review_refused',
    json({ ...GOOD, status: { user: {}, error: 'invalid bearer token' } }),
  ],
  'authenticated is false': ['client_token_review_refused', status({ authenticated: false })],
  'authenticated is a text': ['client_token_review_refused', status({ authenticated: 'true' })],
  'no audience came back: an older server': [
    'client_token_review_refused',
    status({ audiences: undefined }),
  ],
  'an empty list of audiences': ['client_token_review_refused', status({ audiences: [] })],
  'another audience came back': [
    'client_token_review_refused',
    status({ audiences: ['https://kubernetes.default.svc'] }),
  ],
  'an audience that holds ours': [
    'client_token_review_refused',
    status({ audiences: `${AUDIENCE} x` }),
  ],
  'another user': ['client_token_review_refused', user('system:serviceaccount:shop:admin')],
  'no user': ['client_token_review_refused', status({ user: undefined })],
  'no status': ['client_token_review_unavailable', json({ ...GOOD, status: undefined })],
  'status is a text': ['client_token_review_unavailable', json({ ...GOOD, status: 'ok' })],
  'our own token is not accepted': ['client_token_review_unavailable', json(GOOD, 401)],
  'we may not ask': ['client_token_review_unavailable', json(GOOD, 403)],
  'too many questions': ['client_token_review_unavailable', json(GOOD, 429)],
  'the server fails': ['client_token_review_unavailable', json(GOOD, 500)],
  'a redirect': [
    'client_token_review_unavailable',
    (response) => response.writeHead(307, { location: '/elsewhere' }).end(),
  ],
  'no JSON': [
    'client_token_review_unavailable',
    (response) => response.writeHead(201).end('<html>'),
  ],
  'a member twice': [
    'client_token_review_unavailable',
    (response) =>
      response
        .writeHead(201)
        .end(JSON.stringify(GOOD).replace('{', '{"status":{"authenticated":false},')),
  ],
  'an answer without end': [
    'client_token_review_unavailable',
    (response) => response.writeHead(201).end(`{"x":"${'y'.repeat(70_000)}"}`),
  ],
  'a connection that breaks': [
    'client_token_review_unavailable',
    (response) => response.socket?.destroy(),
  ],
}

for (const [name, [reason, how]] of Object.entries(DENIED)) {
  test(`refused: ${name}`, async () => {
    respond = how
    assert.equal(await ask(), reason)
  })
}

test('P4: an outage says when to come back', async () => {
  respond = json(GOOD, 503)
  const { review, stop } = createTokenReview(options)
  const result = await review(TOKEN, SUB)
  stop()
  assert.equal(result.ok ? undefined : result.retryAfterSeconds, 1)
})

test('P4: no answer in time is an outage', async () => {
  const arrived = new Promise<void>((resolve) => {
    respond = () => resolve()
  })
  assert.equal(await ask({ timeoutMs: 1000 }), 'client_token_review_unavailable')
  // On a busy machine the question may come after its time: it belongs to this test all the same.
  await arrived
})

test('files that cannot be read are an outage, and nothing is sent', async () => {
  for (const change of [
    { tokenFile: join(folder, 'none') },
    { caFile: join(folder, 'none') },
    // An empty authority would mean the system's.
    { caFile: options.tokenFile },
  ]) {
    assert.equal(await ask(change), 'client_token_review_unavailable')
  }
  assert.deepEqual(questions, [])
})

test('a server of another authority gets no token', async () => {
  await writeFile(options.caFile, OTHER_CA.certPem)
  assert.equal(await ask(), 'client_token_review_unavailable')
  assert.deepEqual(questions, [])
})

test('plain http gets no token', async () => {
  const apiServer = options.apiServer.replace('https:', 'http:')
  assert.equal(await ask({ apiServer }), 'client_token_review_unavailable')
  assert.deepEqual(questions, [])
})

test('one question at a time per token, and few at all', async () => {
  const held: ServerResponse[] = []
  let arrived: () => void = () => undefined
  respond = (response) => {
    held.push(response)
    arrived()
  }
  const { review, stop } = createTokenReview({ ...options, maxConcurrent: 2 })
  try {
    const both = new Promise<void>((resolve) => {
      arrived = () => {
        if (held.length === 2) resolve()
      }
    })
    const first = [review(TOKEN, SUB), review(TOKEN, SUB), review(TOKEN, SUB)]
    const second = review({ token: 'other', hash: 'h2' }, SUB)
    const third = await review({ token: 'third', hash: 'h3' }, SUB)
    assert.equal(
      third.ok ? 'ok' : assertionFailure(third).reason,
      'client_token_review_unavailable',
    )
    await both
    for (const response of held) json(GOOD)(response)
    for (const result of await Promise.all([...first, second])) assert.equal(result.ok, true)
    assert.equal(questions.length, 2)
    // What is answered makes room.
    respond = json(GOOD)
    assert.equal((await review({ token: 'third', hash: 'h3' }, SUB)).ok, true)
  } finally {
    stop()
  }
})

test('P7: no failure holds the token', async () => {
  respond = json({ ...GOOD, status: { error: `bad token ${TOKEN.token}` } })
  const { review, stop } = createTokenReview(options)
  const result = await review(TOKEN, SUB)
  stop()
  assert.ok(!JSON.stringify(result).includes(TOKEN.token))
})
