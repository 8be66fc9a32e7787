// Owns connections that send bytes as they are, many requests on one, and read whole answers.
// Must not know what an answer should be.
import { connect, type Socket } from 'node:net'
import { parseAnswers, type RawAnswer } from '../support/token-listener.ts'

/** One connection at a time to a port of this machine; opened when needed. */
export interface KeepAlive {
  /**
   * Sends the bytes of one whole request and gives its answer; undefined where the connection ended
   * without one. A `100 Continue` is no answer.
   */
  readonly ask: (request: Buffer) => Promise<RawAnswer | undefined>
  readonly close: () => void
}

/** Makes a client; nothing is opened before the first request. */
export function keepAlive(port: number): KeepAlive {
  let socket: Socket | undefined
  return {
    ask: (request) =>
      new Promise((resolve) => {
        const open = socket?.writable === true ? socket : connect(port, '127.0.0.1')
        socket = open
        open.setNoDelay(true)
        let text = ''
        const settle = (answer: RawAnswer | undefined) => {
          open.removeAllListeners()
          open.on('error', () => open.destroy())
          if (answer === undefined || answer.headers.get('connection') === 'close') {
            open.destroy()
            socket = undefined
          }
          resolve(answer)
        }
        open.on('data', (chunk) => {
          text += chunk.toString('latin1')
          const answer = finalAnswers(text)[0]
          if (answer !== undefined) settle(answer)
        })
        open.on('error', () => settle(undefined))
        open.on('close', () => settle(undefined))
        open.write(request)
      }),
    close: () => socket?.destroy(),
  }
}

/** Sends bytes that may be no request at all, ends, and gives everything that comes back. */
export function sendAndEnd(port: number, bytes: Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    // The listener may reset a connection whose bytes it did not want.
    socket.on('error', () => socket.destroy())
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')))
    socket.end(bytes)
  })
}

/** The answers in received text, interim ones left out. */
export const finalAnswers = (text: string): readonly RawAnswer[] =>
  parseAnswers(text).filter(({ status }) => status >= 200)
