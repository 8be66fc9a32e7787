// Owns load: clients that ask one thing again and again on connections that they keep, and what they got.
// Must not judge answers.
import { Agent, type IncomingHttpHeaders, request } from 'node:http'

/** What a client asks. */
export interface LoadRequest {
  readonly url: string
  readonly form: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
}

/** An answer that arrived whole. */
export interface LoadAnswer {
  readonly url: string
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Readonly<Record<string, unknown>>
}

/** Clients at work. */
export interface Load {
  /** Whole answers so far. */
  readonly answers: readonly LoadAnswer[]
  /** Codes of requests that got no whole answer. */
  readonly failures: readonly string[]
  /** Resolves when so many answers have arrived; rejects where the clients end before. */
  readonly reached: (answers: number) => Promise<void>
  /** Resolves when every client has ended: at its first failure, or where `goesOn` says so. */
  readonly ended: Promise<void>
}

export interface LoadOptions {
  readonly clients: number
  /** Asked before each request of each client. */
  readonly goesOn: () => boolean
}

/** How often, and after how long, a client that was told to come back does so. */
const ATTEMPTS = 200
const RETRY_MS = 50

/** Starts clients, each with one connection and one request at a time. */
export function startLoad(target: LoadRequest, { clients, goesOn }: LoadOptions): Load {
  const answers: LoadAnswer[] = []
  const failures: string[] = []
  const waiting: { count: number; resolve: () => void; reject: (error: Error) => void }[] = []

  const work = async (): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    try {
      while (goesOn()) {
        answers.push(await ask(target, agent))
        for (const each of waiting) if (answers.length >= each.count) each.resolve()
      }
    } catch (error) {
      failures.push((error as NodeJS.ErrnoException).code ?? String(error))
    } finally {
      agent.destroy()
    }
  }

  const ended = Promise.all(Array.from({ length: clients }, work)).then(() => {
    const error = new Error(`the clients ended after ${answers.length} answers: ${failures}`)
    for (const each of waiting) each.reject(error)
  })
  return {
    answers,
    failures,
    ended,
    reached: (count) =>
      new Promise((resolve, reject) => {
        if (answers.length >= count) resolve()
        else waiting.push({ count, resolve, reject })
      }),
  }
}

/** Sends one request; rejects where no whole answer comes. */
function ask({ url, form, headers }: LoadRequest, agent: Agent): Promise<LoadAnswer> {
  const body = new URLSearchParams(form).toString()
  return new Promise((resolve, reject) => {
    const outgoing = request(url, {
      method: 'POST',
      agent,
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        'content-length': Buffer.byteLength(body),
        ...headers,
      },
    })
    outgoing.on('error', reject)
    outgoing.on('response', (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('error', reject)
      incoming.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8')
        const { statusCode: status = 0, headers: received } = incoming
        resolve({ url, status, headers: received, body: JSON.parse(text) })
      })
    })
    outgoing.end(body)
  })
}

/** One exchange that is granted. A test machine may itself be too late at times: then it is tried again. */
export async function servedAgain(target: LoadRequest): Promise<void> {
  const agent = new Agent({ keepAlive: true })
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { status, body } = await ask(target, agent)
      if (status === 200) return
      if (status !== 503) throw new Error(`${status} ${JSON.stringify(body)}`)
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
    throw new Error('it never serves again')
  } finally {
    agent.destroy()
  }
}
