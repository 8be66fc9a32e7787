// Owns the yardstick: a fastify server that only verifies RS256 and signs ES256 with jose, as a sample would.
// Must stay without client authentication, rules or audit: that is what it is compared for.
import formbody from '@fastify/formbody'
import Fastify from 'fastify'
import { exportJWK, generateKeyPair, importJWK, type JWK, jwtVerify, SignJWT } from 'jose'

const issuerKey = JSON.parse(process.env.BENCH_ISSUER_JWK ?? '{}') as JWK
const verifyKey = await importJWK(issuerKey, 'RS256')
const { privateKey, publicKey } = await generateKeyPair('ES256')
const kid = (await exportJWK(publicKey)).x?.slice(0, 8) ?? 'k'

const app = Fastify()
app.register(formbody)
app.post('/token', async (request, reply) => {
  const form = request.body as Record<string, string>
  const { payload } = await jwtVerify(form.subject_token ?? '', verifyKey, {
    algorithms: ['RS256'],
    issuer: 'https://login.bench.example',
    audience: 'https://api.bench.example',
    requiredClaims: ['exp'],
  })
  const token = await new SignJWT({ scope: form.scope, client_id: 'bench', act: { sub: 'bench' } })
    .setProtectedHeader({ alg: 'ES256', kid, typ: 'at+jwt' })
    .setIssuer('https://sts.bench.example')
    .setSubject(String(payload.sub))
    .setAudience(form.audience ?? '')
    .setJti(crypto.randomUUID())
    .setIssuedAt()
    .setExpirationTime('5m')
    .sign(privateKey)
  reply.header('cache-control', 'no-store')
  return {
    access_token: token,
    issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    token_type: 'Bearer',
    expires_in: 300,
    scope: form.scope,
  }
})
await app.listen({ port: 0, host: '127.0.0.1' })
const address = app.server.address()
console.log(typeof address === 'object' && address !== null ? address.port : '')
