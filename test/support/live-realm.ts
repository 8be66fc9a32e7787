// Owns exchanges on a real server: real tokens, signed by the issuers' keys, over HTTP.
// Must not read what the server thinks; only what it answers.
import type { TestContext } from 'node:test'
import { TOKEN_TYPES } from '../../src/oauth/names.ts'
import { callerFacts, type World } from '../../src/ruleset/reach/token.ts'
import type { Realm } from './adversary.ts'
import {
  type Deployment,
  exchangeForm,
  post,
  SETTINGS,
  STS,
  startDeployment,
} from './deployment.ts'
import { NOW, NOW_SECONDS } from './facts.ts'
import { jwksOf, makeKey, signJwt } from './jwt-fixtures.ts'
import { issuersText, type RandomRules, ruleTexts } from './random-ruleset.ts'

const BUNDLE = makeKey('ES256', 'bundle-1')

/** Starts a server with random rules; workloads may hand in their JWT-SVIDs. */
export function startRandom(t: TestContext, rules: RandomRules): Promise<Deployment> {
  const texts = ruleTexts(rules).map((text, at) => [`rules/${at}.yaml`, text] as const)
  const files = {
    'sts.yaml': `${SETTINGS.replace('algorithms: [ES256, RS256]', 'algorithms: [ES256]').replace(
      'client_auth:\n',
      'client_auth:\n  jwt_svid: {bundles: {cluster.local: {file: bundle.json}}}\n',
    )}tokens: {max_size: 60KiB}\n`,
    'bundle.json': jwksOf([{ ...BUNDLE.jwk, use: 'jwt-svid' }]),
    'issuers.yaml': issuersText(rules),
    'rules/boutique.yaml': '{"namespace": "unused", "services": {}}',
    ...Object.fromEntries(texts),
  }
  return startDeployment(t, files, { now: () => NOW })
}

/** The realm of a running server. */
export function createLiveRealm(deployment: Deployment, world: World): Realm {
  const idOf = (name: string): string => {
    const service = world.ruleset.services.get(name)
    if (service === undefined) throw new Error(name)
    return callerFacts(service, world.selfIss).id
  }
  return {
    async exchange({ caller, token, isWorkloads, actor, target, scopes }) {
      const form = exchangeForm(token, {
        subject_token_type: TOKEN_TYPES[isWorkloads ? 'jwt' : 'access_token'],
        actor_token: actor,
        actor_token_type: actor === undefined ? undefined : TOKEN_TYPES.access_token,
        audience: target,
        scope: scopes === undefined || scopes.length === 0 ? undefined : scopes.join(' '),
      })
      const xfcc = `By=${STS};Hash=${'0'.repeat(64)};Subject="";URI=${idOf(caller)}`
      const { status, body } = await post(deployment.tokenUrl, form, {
        'x-forwarded-client-cert': xfcc,
      })
      if (status >= 500) throw new Error(JSON.stringify(body))
      return status === 200 ? String(body.access_token) : undefined
    },
    sign({ issuer, workload, audiences, scopes, claims }) {
      const common = { aud: audiences, iat: NOW_SECONDS, exp: NOW_SECONDS + 3600, ...claims }
      if (workload !== undefined) {
        return signJwt(BUNDLE, { ...common, sub: idOf(workload) }, { typ: 'JWT' })
      }
      const key = issuer === 'corporate' ? deployment.corporate : deployment.agents
      const iss = world.issuers.get(issuer)?.iss
      const scope = scopes.length === 0 ? {} : { scope: scopes.join(' ') }
      return signJwt(key, { ...common, iss, sub: 'alice', ...scope })
    },
  }
}
