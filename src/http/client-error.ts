// Owns answers to what never became a request: bytes that are not HTTP, headers too large, too slow.
// Must not answer out of turn: on a pipelined connection earlier answers go first.
import type { Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Reason } from '../oauth/reasons.ts'

/** Makes the bytes of a refusal, and counts and logs it; called once per answer. */
export type RefuseConnection = (reason: Reason, socket: Socket) => string

/** How long a refused sender may go on before it is cut off; it needs a moment to read the answer. */
const LINGER_MS = 1_000

/** A response, and the one before it on the same connection where that was not finished yet. */
interface Turn {
  readonly response: ServerResponse
  readonly after: ServerResponse | undefined
}

/** Gives the handler for `clientError`, and wires what else of `server` needs an answer in our words. */
export function answerClientErrors(
  server: Server,
  refuse: RefuseConnection,
): (error: NodeJS.ErrnoException, socket: Socket) => void {
  const turns = new WeakMap<Duplex, Turn>()
  const refused = new WeakSet<Socket>()

  /** RFC 9112 §9.3.2: in the order of the requests. */
  const answerInTurn = (reason: Reason, socket: Socket): void => {
    const answer = () => {
      if (socket.writable) end(socket, refuse(reason, socket))
    }
    const first = unfinished(turns.get(socket))
    if (first === undefined) answer()
    else if (first === 'answered') end(socket, '')
    else first.once('close', answer)
  }

  server.prependListener('request', (request, response) => {
    const last = turns.get(request.socket)?.response
    const after = last === undefined || last.writableFinished ? undefined : last
    turns.set(request.socket, { response, after })
  })
  // RFC 9110 §10.1.1 lets us ignore an expectation that we do not know; Node would answer 417, bare.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response))
  server.on('connect', (_request, socket: Socket) => {
    socket.on('error', () => socket.destroy())
    // Node has let go of the connection: what still comes is discarded here.
    socket.resume()
    answerInTurn('request_method_not_allowed', socket)
  })

  return (error, socket) => {
    const reason = reasonOf(error)
    if (refused.has(socket)) return
    if (reason === undefined || !socket.writable) {
      socket.destroy()
      return
    }
    // What follows on this connection fails too and says nothing new.
    refused.add(socket)
    answerInTurn(reason, socket)
  }
}

/**
 * What must go out before the refusal of whatever failed: nothing, a response of an earlier request,
 * or (`answered`) the failing request has had its answer before its body was all there.
 */
function unfinished(turn: Turn | undefined): ServerResponse | 'answered' | undefined {
  if (turn === undefined) return undefined
  const { response, after } = turn
  if (!response.req.complete) {
    if (response.headersSent) return 'answered'
    return after === undefined || after.writableFinished ? undefined : after
  }
  return response.writableFinished ? undefined : response
}

/** Codes of the HTTP parser and of Node's request timeouts; everything else is the connection's end. */
function reasonOf(error: NodeJS.ErrnoException): Reason | undefined {
  const code = error.code ?? ''
  if (code === 'HPE_HEADER_OVERFLOW') return 'request_header_too_large'
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'request_timeout'
  return code.startsWith('HPE_') ? 'request_unreadable' : undefined
}

/**
 * Sends the last bytes and closes. The sender may still be sending: closing at once would reset the
 * connection and could take the answer with it, so what it sends is discarded for a moment.
 */
function end(socket: Socket, text: string): void {
  socket.end(text)
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  timer.unref()
  socket.once('close', () => clearTimeout(timer))
}
