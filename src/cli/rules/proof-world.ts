// Owns what a proof needs of the settings. Must not read files.
import { basename } from 'node:path'
import type { IssuerKeys } from '../../config/issuers.ts'
import type { Settings } from '../../config/settings.ts'
import type { World } from '../../ruleset/reach/token.ts'
import type { Ruleset } from '../../ruleset/ruleset.ts'

/** Everything that decides what could ever be obtained in a deployment. */
export const worldOf = (settings: Settings, ruleset: Ruleset): World => ({
  ruleset,
  ...outsideOf(settings),
})

/** What of it is outside the rules. */
export function outsideOf({ issuer, issuers, clientAuth }: Settings): Omit<World, 'ruleset'> {
  return {
    selfIss: issuer,
    issuers: new Map(
      issuers.map((settings) => [
        settings.name,
        {
          iss: settings.issuer,
          presentedBy: settings.presentedBy,
          subjectPrefix: settings.subjectPrefix,
          scopesFrom: settings.scopesFrom,
          verification: {
            keys: keysOf(settings.keys),
            algorithms: settings.algorithms,
            tokenTypes: [...settings.tokenTypes],
            accessTokenTyp: settings.accessTokenTyp.map(String),
          },
        },
      ]),
    ),
    // As clients/jwt-svid.ts and clients/kubernetes.ts demand it.
    workloadAudiences: [
      ...(clientAuth.jwtSvid === undefined ? [] : [issuer]),
      ...(clientAuth.kubernetes === undefined ? [] : [clientAuth.kubernetes.audience]),
    ],
  }
}

/** Where an issuer's keys come from. A file is named by its place within the deployment. */
function keysOf(keys: IssuerKeys): string {
  if (keys.kind === 'file') return `file ${basename(keys.path)}`
  return keys.kind === 'url' ? keys.url : 'discovery'
}
