// Owns a bounded memory of recent keys. Must not know what is remembered, nor read a clock.

/** Remembers a value for a key while it is among the recent ones. */
export interface Recent<T> {
  readonly get: (key: string) => T | undefined
  readonly set: (key: string, value: T) => void
}

/**
 * Two generations: when the young one is full it becomes the old one, and the old one goes at once; what is
 * asked for is young again. A Map that drops its oldest entry one by one leaves holes that every look at its
 * head walks over. Holds up to `maxEntries`; 0 remembers nothing.
 */
export function createRecent<T>(maxEntries: number): Recent<T> {
  const generation = Math.ceil(maxEntries / 2)
  let young = new Map<string, T>()
  let old = new Map<string, T>()
  const set = (key: string, value: T): void => {
    if (generation === 0) return
    if (young.size >= generation && !young.has(key)) {
      old = young
      young = new Map()
    }
    young.set(key, value)
  }
  return {
    set,
    get(key) {
      const value = young.get(key)
      if (value !== undefined) return value
      const older = old.get(key)
      if (older !== undefined) set(key, older)
      return older
    },
  }
}
