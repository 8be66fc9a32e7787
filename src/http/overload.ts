// Owns back-pressure: how many exchanges may run at once, and when the process is too late to try.
// Must not queue: what does not fit is refused at once, so that those inside still finish in time.

/** Says whether one more exchange may start. */
export interface OverloadGuard {
  /** True where the exchange may start: then `leave` must be called exactly once when it ends. */
  readonly enter: () => boolean
  readonly leave: () => void
  readonly inFlight: () => number
}

export interface OverloadOptions {
  /** Exchanges at once. Beyond it waiting costs more than trying again. */
  readonly maxInFlight: number
  /** Delay of the event loop from which on nothing new starts. */
  readonly maxDelayMs: number
  /** The event loop's present delay; see {@link watchEventLoop}. */
  readonly delayMs: () => number
}

/** Well above a garbage collection, well below the 5 s for which Istio waits for a key set. */
export const MAX_EVENT_LOOP_DELAY_MS = 400

/** Makes a guard that all token listeners of a process share. */
export function createOverloadGuard(options: OverloadOptions): OverloadGuard {
  let inFlight = 0
  return {
    enter: () => {
      if (inFlight >= options.maxInFlight || options.delayMs() > options.maxDelayMs) return false
      inFlight += 1
      return true
    },
    leave: () => {
      inFlight -= 1
    },
    inFlight: () => inFlight,
  }
}

/** How often the event loop is measured. */
const SAMPLE_MS = 100

/**
 * Measures how late the event loop is, by a timer that should fire every 100 ms.
 * One late sample may be a garbage collection; the smaller of the last two counts.
 * `stopwatch` gives monotonic milliseconds.
 */
export function watchEventLoop(stopwatch: () => number): {
  readonly delayMs: () => number
  readonly stop: () => void
} {
  let last = stopwatch()
  let before = 0
  let latest = 0
  const timer = setInterval(() => {
    const at = stopwatch()
    before = latest
    latest = Math.max(0, at - last - SAMPLE_MS)
    last = at
  }, SAMPLE_MS)
  timer.unref()
  return { delayMs: () => Math.min(before, latest), stop: () => clearInterval(timer) }
}
