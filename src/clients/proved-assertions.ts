// Owns the memory of assertions that proved somebody, by hash and bounded.
// Must not spare anybody a verification: it only chooses the allowance that an attempt is taken from.

export interface ProvedAssertions {
  readonly add: (hash: string) => void
  readonly has: (hash: string) => boolean
}

/** Makes the memory; two generations, of which the older goes at once when the younger is full. */
export function createProvedAssertions(maxEntries: number): ProvedAssertions {
  const generation = Math.ceil(maxEntries / 2)
  let young = new Set<string>()
  let old = new Set<string>()
  const add = (hash: string): void => {
    if (young.has(hash)) return
    if (young.size >= generation) {
      old = young
      young = new Set()
    }
    young.add(hash)
  }
  return {
    add,
    has(hash) {
      if (young.has(hash)) return true
      if (!old.has(hash)) return false
      add(hash)
      return true
    },
  }
}
