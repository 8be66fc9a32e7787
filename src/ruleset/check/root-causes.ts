// Owns which of many faults are to be told where some follow from others. Must not know what they are.

/**
 * Gives the faults that nothing else explains. Each key is a fault, with those that it may follow from; a
 * cause that is no key is told elsewhere. Of faults in a circle that nothing else explains, all are given.
 */
export function rootCauses<T>(causes: ReadonlyMap<T, readonly T[]>): ReadonlySet<T> {
  const effects = effectsOf(causes)
  const roots = [...causes].filter(([, because]) => because.length === 0).map(([fault]) => fault)
  const explained = new Set<T>()
  // What grows while it is gone through is gone through as well.
  const reached = new Set([...roots, ...[...effects.keys()].filter((cause) => !causes.has(cause))])
  for (const cause of reached) {
    for (const effect of effects.get(cause) ?? []) {
      explained.add(effect)
      reached.add(effect)
    }
  }
  return new Set([...causes.keys()].filter((fault) => !explained.has(fault)))
}

function effectsOf<T>(causes: ReadonlyMap<T, readonly T[]>): ReadonlyMap<T, readonly T[]> {
  const effects = new Map<T, T[]>()
  for (const [fault, because] of causes) {
    for (const cause of because) {
      const known = effects.get(cause)
      if (known === undefined) effects.set(cause, [fault])
      else known.push(fault)
    }
  }
  return effects
}
