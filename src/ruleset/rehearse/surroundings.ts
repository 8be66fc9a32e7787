// Owns what an exchange depends on beside the rules, and a signature that is none: for tests and explanations.
// Must not hold keys or read settings.
import type { SigningAlgorithm } from '../../jwt/algorithms.ts'
import { ok } from '../../oauth/reasons.ts'
import type { IssuerName } from '../../subjects/subject.ts'
import type { MintTools, SignClaims } from '../../tokens/mint.ts'

/** The deployment around the rules. */
export interface Surroundings {
  /** This deployment's issuer URL. */
  readonly issuer: string
  readonly issuers: ReadonlyMap<IssuerName, KnownIssuer>
  /** What signs where a service says nothing. */
  readonly algorithm: SigningAlgorithm
  readonly maxTokenCharacters: number
  readonly rulesetClaim: boolean
}

/** A trusted issuer, as far as rules depend on it. */
export interface KnownIssuer {
  readonly iss: string
  /** `aud` of a token → full names of the services that may hand it in. */
  readonly presentedBy: ReadonlyMap<string, ReadonlySet<string>>
  readonly subjectPrefix: string
}

/** Characters of a signature in a compact JWS: RSA keys have 2048 bits, the others give 64 bytes. */
const SIGNATURE_CHARACTERS: Readonly<Record<SigningAlgorithm, number>> = {
  ES256: 86,
  EdDSA: 86,
  RS256: 342,
  PS256: 342,
}
/** As long as the thumbprint of a key. */
const KID = 'unsigned'.padEnd(43, '-')
/** As long as a real one, so that a token is as long as it will be. */
export const UNSIGNED_TOKEN_ID = '00000000-0000-4000-8000-000000000000'

/** Mints as the service does, but what comes out is signed by nobody: it is as long as the real one. */
export function unsignedMint({
  algorithm: standard,
  maxTokenCharacters,
}: Pick<Surroundings, 'algorithm' | 'maxTokenCharacters'>): MintTools {
  const sign: SignClaims = (claims, algorithm = standard) =>
    ok({ token: unsignedToken(claims, algorithm), kid: KID })
  return { sign, maxTokenCharacters }
}

/** A token with a signature that is none. */
export function unsignedToken(claims: object, algorithm: SigningAlgorithm): string {
  const signature = '-'.repeat(SIGNATURE_CHARACTERS[algorithm])
  const header = encoded({ alg: algorithm, typ: 'at+jwt', kid: KID })
  return `${header}.${encoded(claims)}.${signature}`
}

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
