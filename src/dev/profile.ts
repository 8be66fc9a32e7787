// Owns the folder of the development profile: its configuration, keys and marker, made once and used again.
// Must not start anything, nor write outside its folder.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeEncryptionKeyFile } from '../keys/encryption-key-files.ts'
import { type DevelopmentKey, developmentKey } from './development-key.ts'
import { REPORTS_API, SHOP_API, SUPPORT_API } from './identity-provider.ts'

export const TRUST_DOMAIN = 'cluster.local'

/** Where the four servers of the profile listen, all on 127.0.0.1. */
export interface DevelopmentPorts {
  readonly token: number
  readonly public: number
  readonly admin: number
  /** Identity provider and trust domain. */
  readonly identity: number
}

/** Where a running profile is reached; kept in the marker file for `mesh-sts exchange --dev`. */
export interface DevelopmentAddresses {
  readonly issuer: string
  readonly tokenEndpoint: string
  readonly admin: string
  readonly identity: string
}

/** A folder that is ready to be started from. */
export interface Profile {
  readonly folder: string
  readonly configFile: string
  readonly addresses: DevelopmentAddresses
  readonly identityProviderKey: DevelopmentKey
  readonly unpublishedKey: DevelopmentKey
  readonly trustDomainKey: DevelopmentKey
}

export interface ProfileOptions {
  /** Absolute. */
  readonly folder: string
  /** Absolute. */
  readonly rules: string
  readonly ports: DevelopmentPorts
}

/** Why a folder is not touched, in words for the terminal. */
export interface FolderRefused {
  readonly refused: string
}

const MARKER = 'dev.json'

/** Says why a folder is not the profile's, or undefined. What we did not make we neither fill nor remove. */
export function foreignFolder(folder: string): FolderRefused | undefined {
  if (!existsSync(folder) || existsSync(join(folder, MARKER))) return undefined
  let entries: string[]
  try {
    entries = readdirSync(folder)
  } catch {
    return { refused: `${folder} is no folder that can be read` }
  }
  if (entries.length === 0) return undefined
  return { refused: `${folder} holds other files and was not made by mesh-sts dev` }
}

/** Removes the folder with all its keys and its audit. The caller has asked {@link foreignFolder}. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
}

/**
 * Makes what is missing in the folder. Keys and the database stay; the two configuration files are
 * written at every start, because ports may differ.
 */
export async function prepareProfile(options: ProfileOptions): Promise<Profile> {
  const { folder, ports } = options
  const addresses = addressesOf(ports)
  mkdirSync(join(folder, 'keys'), { recursive: true, mode: 0o700 })
  writeFileSync(join(folder, MARKER), `${JSON.stringify(addresses, null, 2)}\n`)
  writeFileSync(join(folder, '.gitignore'), '*\n')
  writeFileSync(join(folder, 'sts.yaml'), settingsText(options, addresses))
  writeFileSync(join(folder, 'issuers.yaml'), issuersText(addresses.identity))
  const encryptionKey = join(folder, 'keys', 'encryption-key')
  if (!existsSync(encryptionKey)) writeEncryptionKeyFile(encryptionKey)
  return {
    folder,
    configFile: join(folder, 'sts.yaml'),
    addresses,
    identityProviderKey: await key(folder, 'identity-provider', 'RS256'),
    unpublishedKey: await key(folder, 'unpublished', 'RS256'),
    trustDomainKey: await key(folder, 'trust-domain', 'ES256'),
  }
}

const key = (folder: string, name: string, algorithm: DevelopmentKey['algorithm']) =>
  developmentKey(join(folder, 'keys', `${name}.jwk.json`), algorithm)

/** Writes the trust domain's bundle where sts.yaml says it is. */
export function writeBundle(profile: Profile, bundle: object): void {
  writeFileSync(join(profile.folder, 'bundle.json'), `${JSON.stringify(bundle)}\n`)
}

/** Reads the addresses of the profile in a folder; undefined where there is none. */
export function readAddresses(folder: string): DevelopmentAddresses | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, MARKER), 'utf8'))
  } catch {
    return undefined
  }
}

function addressesOf(ports: DevelopmentPorts): DevelopmentAddresses {
  const at = (port: number) => `http://127.0.0.1:${port}`
  return {
    // The public listener's, so that whoever knows the issuer finds keys and metadata there.
    issuer: at(ports.public),
    tokenEndpoint: `${at(ports.token)}/token`,
    admin: at(ports.admin),
    identity: at(ports.identity),
  }
}

const HEADER = '# Written by `mesh-sts dev` at every start: copy it, do not edit it.\n'

function settingsText({ rules, ports }: ProfileOptions, addresses: DevelopmentAddresses): string {
  return `${HEADER}issuer: ${addresses.issuer}
token_endpoint: ${addresses.tokenEndpoint}
listeners:
  token: {address: "127.0.0.1:${ports.token}", client_auth: [jwt_svid]}
  public: {address: "127.0.0.1:${ports.public}"}
  admin: {address: "127.0.0.1:${ports.admin}"}
trust_domains: [${TRUST_DOMAIN}]
client_auth:
  jwt_svid: {bundles: {${TRUST_DOMAIN}: {file: bundle.json}}}
keys:
  algorithms: [ES256]
  encryption_keys: {current: dev, dev: keys/encryption-key}
store: {sqlite: sts.db}
audit: {retain: 30d, max_size: 1GB}
log: {level: warn}
issuers: issuers.yaml
rules: [${JSON.stringify(rules)}]
relaxations:
  allow_http_issuer: true        # our own issuer URL is http://127.0.0.1
  allow_http_issuers: true       # and so is the identity provider's
`
}

/** The issuers file. The shipped rules name this issuer, so it has the name that it would have elsewhere. */
export function issuersText(identityProvider: string): string {
  return `${HEADER}corporate:
  issuer: ${identityProvider}
  jwks_uri: ${identityProvider}/jwks.json
  algorithms: [RS256]
  token_types: [access_token]
  presented_by:
    ${SHOP_API}: [boutique/frontend]
    ${SUPPORT_API}: [backoffice/support]
    ${REPORTS_API}: [backoffice/reporting]
  scopes_from: [scope]
  subject_prefix: corp
`
}
