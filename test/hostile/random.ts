// Owns deterministic choices for generators: the same seed gives the same inputs, on every machine.
// Must not know what is generated.

/** A source of choices. */
export interface Random {
  /** A whole number from 0 to `limit` - 1. */
  readonly below: (limit: number) => number
  readonly chance: (probability: number) => boolean
  /** One of a list that is not empty. */
  readonly pick: <T>(list: readonly T[]) => T
  /** Bytes that look random. */
  readonly bytes: (size: number) => Buffer
}

/** Makes a source; each combination of parts gives a sequence of its own. */
export function createRandom(...parts: readonly (string | number)[]): Random {
  const next = mulberry32(fnv1a(parts.join('\u0000')))
  const below = (limit: number) => Math.floor(next() * limit)
  return {
    below,
    chance: (probability) => next() < probability,
    pick: (list) => {
      if (list.length === 0) throw new RangeError('nothing to pick from')
      return list[below(list.length)] as (typeof list)[number]
    },
    bytes: (size) => Buffer.from(Array.from({ length: size }, () => below(256))),
  }
}

/** Numbers in [0, 1) by Tommy Ettinger's mulberry32: small, fast, good enough to choose by. */
function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  }
  return hash >>> 0
}
