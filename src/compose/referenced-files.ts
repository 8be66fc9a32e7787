// Owns the check of the local files that a deployment names: missing means no start (P4).
// Must not fetch anything, nor keep what it read.
import { readBoundedFile } from '../config/bounded-file.ts'
import type { IssuerKeys } from '../config/issuers.ts'
import type { Problem } from '../config/problem.ts'
import type { BundleSource, KubernetesVerification, Settings } from '../config/settings.ts'
import { ALGORITHMS } from '../jwt/algorithms.ts'
import { MAX_KEY_SET_BYTES, parseKeySet } from '../jwt/key-set.ts'
import type { Ruleset } from '../ruleset/ruleset.ts'

interface NamedFile {
  /** What the file is for, as the configuration calls it. */
  readonly what: string
  readonly path: string
  /** How a set of keys in it is used; undefined where it is something else. */
  readonly keys?: 'sig' | 'jwt-svid'
}

/** A problem for each file that cannot be read, or holds no key that could be used. */
export const checkReferencedFiles = (settings: Settings, ruleset: Ruleset): Problem[] => [
  ...checkFilesOfSettings(settings),
  ...checkFilesOfRules(ruleset),
]

/** The same for the files that settings and issuers name: without them nothing starts. */
export const checkFilesOfSettings = (settings: Settings): Problem[] =>
  problemsOf(filesOfSettings(settings))

/** The same for the files that rules name; the others are not there where rules are reviewed. */
export const checkFilesOfRules = (ruleset: Ruleset): Problem[] => problemsOf(filesOfRules(ruleset))

function problemsOf(files: readonly NamedFile[]): Problem[] {
  return files.flatMap((file) => {
    const message = faultOf(file)
    if (message === undefined) return []
    return [{ file: file.path, line: 0, column: 0, path: '', message, severity: 'error' as const }]
  })
}

function faultOf({ what, path, keys }: NamedFile): string | undefined {
  let text: string
  try {
    text = readBoundedFile(path, MAX_KEY_SET_BYTES).toString('utf8')
  } catch (error) {
    return `${what} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`
  }
  if (keys === undefined) return undefined
  const parsed = parseKeySet(text, ALGORITHMS, { use: keys })
  return 'unusable' in parsed ? `${what} is unusable: ${parsed.unusable}` : undefined
}

function filesOfRules(ruleset: Ruleset): NamedFile[] {
  return [...ruleset.services.values()].flatMap(({ name, clientKeysFile }) =>
    named(`client_keys.jwks_file of ${name}`, clientKeysFile, 'sig'),
  )
}

function filesOfSettings(settings: Settings): NamedFile[] {
  const { issuers, clientAuth, keys } = settings
  return [
    ...Object.entries(keys.encryptionKeys.files).flatMap(([id, path]) =>
      named(`key-encryption key ${id}`, path),
    ),
    ...issuers.flatMap(({ name, keys: source }) => filesOfKeys(`issuer ${name}`, source, 'sig')),
    ...[...(clientAuth.jwtSvid?.bundles ?? [])].flatMap(([trustDomain, source]) =>
      filesOfKeys(`the JWT bundle of ${trustDomain}`, source, 'jwt-svid'),
    ),
    ...named('client_auth.mtls.bundle_file', clientAuth.mtls?.bundleFile),
    ...filesOfCluster(clientAuth.kubernetes?.verification),
    ...filesOfListeners(settings.listeners),
  ]
}

function named(what: string, path: string | undefined, keys?: NamedFile['keys']): NamedFile[] {
  if (path === undefined) return []
  return [{ what, path, ...(keys === undefined ? {} : { keys }) }]
}

function filesOfKeys(
  whose: string,
  source: IssuerKeys | BundleSource,
  use: NamedFile['keys'],
): NamedFile[] {
  return source.kind === 'file'
    ? named(`the key set file of ${whose}`, source.path, use)
    : named(`ca_file of ${whose}`, source.caFile)
}

function filesOfCluster(verification: KubernetesVerification | undefined): NamedFile[] {
  if (verification === undefined) return []
  if (verification.kind !== 'token_review') return filesOfKeys('the cluster', verification, 'sig')
  const { caFile, tokenFile } = verification
  return [...named('token_review.ca_file', caFile), ...named('token_review.token_file', tokenFile)]
}

function filesOfListeners(listeners: Settings['listeners']): NamedFile[] {
  const { tokenMtls, tokenExternal, admin } = listeners
  const withTls = { token_mtls: tokenMtls, token_external: tokenExternal, admin }
  return [
    ...Object.entries(withTls).flatMap(([name, listener]) => [
      ...named(`tls.cert_file of ${name}`, listener?.tls?.certFile),
      ...named(`tls.key_file of ${name}`, listener?.tls?.keyFile),
    ]),
    ...named('tls.client_ca_file of admin', admin.tls?.clientCaFile),
  ]
}
