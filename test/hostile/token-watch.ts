// Owns the search for token bytes (P7) in everything that leaves the server by another way than as a granted token.
// Must not know where the texts come from.

/** No shorter run can be told from chance: 24 characters of base64url are 144 bits. */
const RUN = 24
/** Every run of 24 holds a whole block of 12 that begins at a multiple of 12 of its token. */
const BLOCK = 12
/** Less is no random text: a hash of zeros stands in every XFCC line. */
const MIN_DISTINCT = 8

export interface TokenWatch {
  /** Remembers a token that was sent. */
  readonly submitted: (token: string) => void
  /** Gives the first run of a submitted token in a text. */
  readonly runIn: (text: string) => string | undefined
}

/** Makes an empty watch. */
export function createTokenWatch(): TokenWatch {
  const blocks = new Map<string, string>()
  return {
    submitted(token) {
      // The header says which kind of token it is, and is the same in many; payload and signature are its own.
      const secrets = token
        .split('.')
        .slice(1)
        .join('.')
        .split(/[^A-Za-z0-9_-]+/)
      for (const secret of secrets.filter(({ length }) => length >= RUN)) {
        for (let at = 0; at + BLOCK <= secret.length; at += BLOCK) {
          const block = secret.slice(at, at + BLOCK)
          if (new Set(block).size >= MIN_DISTINCT) blocks.set(block, secret)
        }
      }
    },
    runIn(text) {
      for (let at = 0; at + BLOCK <= text.length; at++) {
        const secret = blocks.get(text.slice(at, at + BLOCK))
        if (secret === undefined) continue
        const run = runAround(text, at, secret)
        if (run.length >= RUN) return run
      }
      return undefined
    },
  }
}

/** The longest part of a secret that stands in a text around a place. */
function runAround(text: string, at: number, secret: string): string {
  let [from, to] = [at, at + BLOCK]
  while (from > 0 && secret.includes(text.slice(from - 1, to))) from--
  while (to < text.length && secret.includes(text.slice(from, to + 1))) to++
  return text.slice(from, to)
}
