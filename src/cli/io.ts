// Owns what a command sees of the process it runs in. Must not touch the process itself; main.ts does.

/** Everything a command may use of its surroundings; tests pass their own. */
export interface CliIo {
  /** Writes text as it is; lines end in a line feed. */
  readonly stdout: (text: string) => void
  readonly stderr: (text: string) => void
  readonly env: Readonly<Record<string, string | undefined>>
  /** Absolute. */
  readonly cwd: string
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Monotonic milliseconds. */
  readonly monotonic: () => number
  /** Whether a person reads standard output. */
  readonly isTty: boolean
  /** Characters a line of that terminal. */
  readonly columns: number
  /** Aborted when the process is asked to end. */
  readonly signal: AbortSignal
  /** Calls back from now on whenever the process is asked to read its files again. */
  readonly onReload?: (listener: () => void) => void
  /** Absolute path of the installed package: migrations and shipped files stand in it. */
  readonly packageFolder: string
}

/** Exit codes of every command. */
export const EXIT_OK = 0
/** Something was found, or did not work. */
export const EXIT_FAILED = 1
/** The command line itself was wrong. */
export const EXIT_USAGE = 2

/** One JSON value on one line, as every command prints with `--json`. */
export function printJson(io: Pick<CliIo, 'stdout'>, value: unknown): void {
  io.stdout(`${JSON.stringify(value)}\n`)
}
