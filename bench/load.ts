// Owns the load tool of the benchmarks: keep-alive connections that send ready-made requests and time the answers.
// Must cost little beside the server under test (10 µs a request; autocannon takes 60), and must not know either server.
import { connect, type Socket } from 'node:net'

/** What one run saw. */
export interface LoadResult {
  readonly requests: number
  readonly seconds: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Answers other than 200, by status. */
  readonly failures: Readonly<Record<string, number>>
}

/** Sends each request once, over `connections` connections, as fast as the server answers. */
export async function load(
  port: number,
  requests: readonly Buffer[],
  connections: number,
): Promise<LoadResult> {
  const latencies = new Float64Array(requests.length)
  const failures: Record<string, number> = {}
  let next = 0
  const started = performance.now()
  const run = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true })
      let sent = 0
      let index = 0
      const send = () => {
        const request = requests[next]
        if (request === undefined) {
          socket.end()
          resolve()
          return
        }
        index = next++
        sent = performance.now()
        socket.write(request)
      }
      onAnswers(socket, (status) => {
        latencies[index] = performance.now() - sent
        if (status !== '200') failures[status] = (failures[status] ?? 0) + 1
        send()
      })
      socket.once('connect', send)
      socket.once('error', reject)
    })
  await Promise.all(Array.from({ length: connections }, run))
  const seconds = (performance.now() - started) / 1000
  latencies.sort()
  const at = (share: number) => latencies[Math.floor(latencies.length * share)] ?? 0
  return {
    requests: requests.length,
    seconds,
    perSecond: requests.length / seconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    failures,
  }
}

/** Tells the status of each complete answer; both servers send Content-Length. */
function onAnswers(socket: Socket, told: (status: string) => void): void {
  let pending = ''
  socket.setEncoding('latin1')
  socket.on('data', (chunk: string) => {
    pending += chunk
    const end = pending.indexOf('\r\n\r\n')
    if (end === -1) return
    const length = /\r\ncontent-length: (\d+)/i.exec(pending.slice(0, end))
    const total = end + 4 + Number(length?.[1] ?? 0)
    if (pending.length < total) return
    const status = pending.slice(9, 12)
    pending = pending.slice(total)
    told(status)
  })
}

/** One POST of a form, ready to be written to a socket. */
export function formRequest(
  port: number,
  fields: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
): Buffer {
  const body = new URLSearchParams(fields).toString()
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.from(
    `POST /token HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/x-www-form-urlencoded\r\n` +
      `Content-Length: ${body.length}\r\n${lines.join('')}\r\n${body}`,
  )
}
