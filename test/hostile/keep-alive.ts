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

/** Bytes that may be no request, on a connection of their own. */
export interface Loose {
  /** Everything that came back when the connection is closed: after the first answer, or after `end`. */
  readonly received: Promise<string>
  /** Says that nothing more will come. */
  readonly end: () => void
}

/** Sends bytes that may be no request at all. */
export function sendLoose(port: number, bytes: Buffer): Loose {
  const socket = connect(port, '127.0.0.1')
  const received = new Promise<string>((resolve) => {
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      if (finalAnswers(text).length > 0) socket.end()
    })
    // The listener may reset a connection whose bytes it did not want.
    socket.on('error', () => socket.destroy())
    socket.on('close', () => resolve(text))
  })
  socket.write(bytes)
  return { received, end: () => socket.end() }
}

/** The answers in received text, interim ones left out. */
export const finalAnswers = (text: string): readonly RawAnswer[] =>
  parseAnswers(text).filter(({ status }) => status >= 200)
