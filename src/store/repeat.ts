// Owns doing something again and again in the background, never twice at once.
// Must not know what is done.

export interface Repeated {
  /** Ends it and waits for a run under way. */
  readonly stop: () => Promise<void>
}

/**
 * Runs `task` every so often, counted from the end of the last run. The timer does not keep the
 * process alive. A long task asks `isStopping` between its steps. A rejection is a bug; it is told and
 * the next run comes all the same.
 */
export function repeat(
  task: (isStopping: () => boolean) => Promise<unknown>,
  intervalMs: number,
  onError: (error: unknown) => void,
): Repeated {
  let running: Promise<void> = Promise.resolve()
  let isStopping = false
  const run = async (): Promise<void> => {
    try {
      await task(() => isStopping)
    } catch (error) {
      onError(error)
    }
    if (!isStopping) schedule()
  }
  let timer: NodeJS.Timeout
  const schedule = (): void => {
    timer = setTimeout(() => {
      running = run()
    }, intervalMs).unref()
  }
  schedule()
  return {
    stop: () => {
      isStopping = true
      clearTimeout(timer)
      return running
    },
  }
}
