// Owns what is said where better-sqlite3's native part is missing or was built for another Node.
// Must not try to build it.
import { loadSqlite } from '../store/sqlite.ts'

/**
 * Opens a database in memory and says what is wrong where that fails, in words for whoever has just
 * installed this; undefined where all is well.
 */
export function nativeModuleProblem(
  open: () => { close(): unknown } = () => {
    const Sqlite = loadSqlite()
    return new Sqlite(':memory:')
  },
): string | undefined {
  try {
    open().close()
    return undefined
  } catch (error) {
    return explain(error)
  }
}

function explain(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  if (/NODE_MODULE_VERSION|was compiled against a different Node/.test(text)) {
    return 'better-sqlite3 was built for another version of Node.js. Run "npm ci" with this one.'
  }
  if (
    /Cannot find module|bindings file|invalid ELF|dlopen|not a valid Win32|wrong architecture/.test(
      text,
    )
  ) {
    return (
      'the native part of better-sqlite3 is not here or does not run on this machine. Run "npm ci" again, ' +
      'with install scripts allowed; where no ready-made build exists for this Node.js it is compiled, which ' +
      'needs python3, make and a C++ compiler (Debian, Ubuntu: apt-get install python3 make g++).'
    )
  }
  return `better-sqlite3 cannot open a database: ${text.split('\n')[0] ?? ''}`
}
