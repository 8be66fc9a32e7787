// Owns asking the Kubernetes API server whether it stands by a service-account token (TokenReview v1).
// Must not judge claims, nor remember answers: only this question sees that a pod or secret was deleted.
import { readFile } from 'node:fs/promises'
import { Agent } from 'node:https'
import { jwtOk, type UnverifiedJwt } from '../jwt/compact.ts'
import { requestJson } from '../jwt/https-json.ts'
import { parseJsonObject } from '../jwt/strict-json.ts'
import { type WorkloadFailure, type WorkloadResult, workloadFail } from './workload-proof.ts'

/**
 * Asks about one token, whose `sub` is given. Fails with `token_review_refused`, or
 * `token_review_unavailable` where the API server does not say.
 */
export type ReviewToken = (
  jwt: Pick<UnverifiedJwt, 'token' | 'hash'>,
  sub: string,
) => Promise<WorkloadResult<void>>

export interface TokenReviewOptions {
  /** The API server, such as `https://kubernetes.default.svc`. */
  readonly apiServer: string
  /** Asked for, and required to come back: older servers ignore the question. */
  readonly audience: string
  /** This service's own token, read for every question: it rotates. */
  readonly tokenFile: string
  /** PEM of the cluster's authority, the only one trusted; read for every question. */
  readonly caFile: string
  /** Default 3 s. */
  readonly timeoutMs?: number
  /** Questions under way; one more is refused as an outage rather than queued. Default 32. */
  readonly maxConcurrent?: number
}

export interface TokenReview {
  readonly review: ReviewToken
  /** Closes idle connections. */
  readonly stop: () => void
}

const PATH = '/apis/authentication.k8s.io/v1/tokenreviews'
const DEFAULT_TIMEOUT_MS = 3000
const DEFAULT_MAX_CONCURRENT = 32
/** An answer is about 2 KiB; groups and extra fields may add some. */
const MAX_ANSWER_BYTES = 65_536
const RETRY_AFTER_SECONDS = 1
/** Below the idle time-out of API servers and of load balancers in front of them. */
const IDLE_CONNECTION_MS = 20_000

/**
 * Makes the question; one under way is shared by everybody who asks the same. Throws where the API
 * server's URL is none.
 */
export function createTokenReview(options: TokenReviewOptions): TokenReview {
  const { maxConcurrent = DEFAULT_MAX_CONCURRENT } = options
  const url = new URL(PATH, options.apiServer).href
  const agent = new Agent({ keepAlive: true, timeout: IDLE_CONNECTION_MS })
  const underWay = new Map<string, Promise<WorkloadResult<void>>>()
  return {
    review: (jwt, sub) => {
      const shared = underWay.get(jwt.hash)
      if (shared !== undefined) return shared
      if (underWay.size >= maxConcurrent) {
        return Promise.resolve(unavailable('too many questions under way'))
      }
      const asked = ask(jwt.token, sub, { ...options, url, agent }).finally(() =>
        underWay.delete(jwt.hash),
      )
      underWay.set(jwt.hash, asked)
      return asked
    },
    stop: () => agent.destroy(),
  }
}

async function ask(
  token: string,
  sub: string,
  options: TokenReviewOptions & { readonly url: string; readonly agent: Agent },
): Promise<WorkloadResult<void>> {
  const credentials = await readCredentials(options)
  if (credentials === undefined) return unavailable('own token or authority cannot be read')
  const answer = await requestJson({
    url: options.url,
    method: 'POST',
    headers: { authorization: `Bearer ${credentials.token}` },
    body: JSON.stringify({
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token, audiences: [options.audience] },
    }),
    ca: credentials.ca,
    timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    maxBytes: MAX_ANSWER_BYTES,
    allowHttp: false,
    agent: options.agent,
  })
  if (!answer.ok) return unavailable(answer.problem)
  // 401 and 403 are about this service's own token, so they are an outage too.
  if (answer.status !== 201 && answer.status !== 200) {
    return unavailable(`answered with status ${answer.status}`)
  }
  return judge(answer.text, sub, options.audience)
}

async function readCredentials(
  options: TokenReviewOptions,
): Promise<{ readonly token: string; readonly ca: string } | undefined> {
  try {
    const [token, ca] = await Promise.all([
      readFile(options.tokenFile, 'latin1'),
      readFile(options.caFile, 'latin1'),
    ])
    // An empty `ca` would mean the system's authorities.
    return ca.includes('-----BEGIN CERTIFICATE-----') ? { token: token.trim(), ca } : undefined
  } catch {
    return undefined
  }
}

function judge(text: string, sub: string, audience: string): WorkloadResult<void> {
  const parsed = parseJsonObject(text)
  const status = parsed.ok ? parsed.value.status : undefined
  if (!isObject(status)) return unavailable('answered with something else than a TokenReview')
  if (status.authenticated !== true) return refused('not authenticated')
  if (!Array.isArray(status.audiences) || !status.audiences.includes(audience)) {
    return refused('not for this audience')
  }
  return isObject(status.user) && status.user.username === sub
    ? jwtOk(undefined)
    : refused('of another user')
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

const refused = (detail: string): WorkloadFailure => workloadFail('token_review_refused', detail)

const unavailable = (detail: string): WorkloadFailure =>
  workloadFail('token_review_unavailable', detail, RETRY_AFTER_SECONDS)
