// Owns where the Envoy for tests is: ENVOY_BIN, the PATH, or what `npm run envoy:install` left in .envoy/.
// Must not install or start anything.
import { accessSync, constants } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'

/** An Envoy, or why there is none. */
export type EnvoySearch = { readonly path: string } | { readonly missing: string }

/** Looks in ENVOY_BIN (which excludes the others), on the PATH, and in `root`/.envoy. */
export function findEnvoy(
  env: Readonly<Record<string, string | undefined>>,
  root: string = process.cwd(),
): EnvoySearch {
  const named = env.ENVOY_BIN
  if (named !== undefined && named !== '') {
    return isExecutable(named) ? { path: named } : missing(`ENVOY_BIN=${named} is not executable`)
  }
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  const places = [
    ...folders.map((folder) => join(folder, 'envoy')),
    resolve(root, '.envoy', 'envoy', '_bin', 'envoy'),
  ]
  const path = places.find(isExecutable)
  return path === undefined ? missing('not on the PATH, not in .envoy/') : { path }
}

/** What a test that needs Envoy passes to `describe`: skipped with a reason where there is none. */
export interface EnvoyForTests {
  /** Empty where the tests are skipped. */
  readonly binary: string
  readonly options: { readonly skip?: string }
}

/** Finds Envoy for a test file; throws instead of skipping under REQUIRE_ENVOY=1. */
export function envoyForTests(
  env: Readonly<Record<string, string | undefined>> = process.env,
  root?: string,
): EnvoyForTests {
  const found = findEnvoy(env, root)
  if ('path' in found) return { binary: found.path, options: {} }
  if (env.REQUIRE_ENVOY === '1') throw new Error(found.missing)
  return { binary: '', options: { skip: found.missing } }
}

function missing(why: string): EnvoySearch {
  return { missing: `Envoy not found: ${why}; run npm run envoy:install` }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
