// Owns what the rules' tests and explanations need of the settings. Must not read files.
import type { Settings } from '../../config/settings.ts'
import type { Surroundings } from '../../ruleset/rehearse/surroundings.ts'

/** The deployment around the rules. */
export function surroundingsOf({ issuer, issuers, keys, tokens }: Settings): Surroundings {
  return {
    issuer,
    issuers: new Map(
      issuers.map(({ name, issuer: iss, presentedBy, subjectPrefix }) => [
        name,
        { iss, presentedBy, subjectPrefix },
      ]),
    ),
    algorithm: keys.algorithms[0] ?? 'ES256',
    maxTokenCharacters: tokens.maxCharacters,
    rulesetClaim: tokens.rulesetClaim,
  }
}
