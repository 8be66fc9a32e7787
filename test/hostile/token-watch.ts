// Owns the search for token bytes (P7) in everything that leaves the server by another way than as a granted token.
// Must not know where the texts come from.

/** No shorter run can be told from chance: 24 characters of base64url are 144 bits. */
const RUN = 24
/** Every run of 24 holds a whole block of 12 that begins at a multiple of 12 of its token. */
const BLOCK = 12

export interface TokenWatch {
  /**
   * Remembers the signature of a token that was sent: header and payload are much the same in many tokens,
   * the signature is a token's own.
   */
  readonly submitted: (signature: string) => void
  /** Gives the first run of a submitted signature in a text. */
  readonly runIn: (text: string) => string | undefined
}

/** Makes an empty watch. */
export function createTokenWatch(): TokenWatch {
  const blocks = new Map<string, string>()
  return {
    submitted(signature) {
      for (let at = 0; at + BLOCK <= signature.length; at += BLOCK) {
        blocks.set(signature.slice(at, at + BLOCK), signature)
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
