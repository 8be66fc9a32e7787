// Owns what the settings of a deployment mean for its rules. Must not read rules.
import { parseDuration } from '../config/duration.ts'
import type { Settings } from '../config/settings.ts'
import type { RulesContext } from '../ruleset/load.ts'

/** Plain data, which can be handed to a thread. */
export type PlainRulesContext = Omit<RulesContext, 'parseDuration'>

/** The names that rules of this deployment may use. */
export const plainContextOf = (settings: Settings): PlainRulesContext => ({
  trustDomains: settings.trustDomains,
  issuers: settings.issuers.map(({ name }) => name),
  algorithms: settings.keys.algorithms,
  selfIss: settings.issuer,
  ownIdentity: settings.clientAuth.xfcc?.self,
})

/** What rules are compiled against. */
export const rulesContext = (plain: PlainRulesContext): RulesContext => ({
  ...plain,
  parseDuration,
})
