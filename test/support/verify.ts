// Owns the verification of issued tokens as a stranger would do it: with jose and the published keys.
// Must not use anything of src.
import { createRemoteJWKSet, type JWTPayload, jwtVerify } from 'jose'

/** The claims of a token that the key set at `publicUrl` verifies. */
export async function verifyWithJwks(publicUrl: string, token: string): Promise<JWTPayload> {
  const keys = createRemoteJWKSet(new URL(`${publicUrl}/.well-known/jwks.json`))
  const { payload } = await jwtVerify(token, keys, { typ: 'at+jwt' })
  return payload
}
