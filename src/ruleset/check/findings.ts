// Owns the list of all that can be found in rules: a stable id, how grave it is, and its title.
// Must not find anything. docs/findings has a page for each id; a test keeps the two in step.

interface FindingKind {
  /** An error makes `rules check` fail; a warning can be waived with a reason. */
  readonly severity: 'error' | 'warning'
  readonly title: string
}

const error = (title: string): FindingKind => ({ severity: 'error', title })
const warning = (title: string): FindingKind => ({ severity: 'warning', title })

export const FINDINGS = {
  // files
  'configuration-invalid': error('sts.yaml or the issuers file has a fault'),
  'configuration-doubtful': warning('a key of sts.yaml that is probably not meant'),
  'file-unreadable': error('a file or folder of rules or tests that cannot be read'),
  'yaml-invalid': error('a file outside the subset of YAML that is taken'),
  'shape-invalid': error('a key that the language does not have, or a value of the wrong form'),
  'test-invalid': error('a test file that could not be run'),
  'key-file-unusable': error('a file of keys that is missing or holds no usable key'),

  // names
  'service-repeated': error('a service is defined more than once'),
  'service-unknown': error('a name means no service'),
  'namespace-unknown': error('`namespace/*` of a namespace that has no rule file'),
  'issuer-unknown': error('an issuer that the issuers file does not have'),
  'name-look-alike': error('two names that a reader takes for one another'),
  'audience-ambiguous': error('two audiences that Envoy or a reader takes for one'),
  'audience-like-name': error('an audience that reads like the name of a service'),
  'audience-own-issuer': error("an audience that is this deployment's own issuer URL"),
  'identity-not-usable': error('an identity that is malformed, foreign, shared or our own'),
  'identity-and-keys': error('a service inside and outside the mesh at once'),
  'external-with': error('an external service that would call somebody'),
  'external-calls': error('a rule for an external caller'),
  'item-repeated': error('a list that names something twice'),

  // services
  'claim-reserved': error('a claim that is registered or ours'),
  'lifetime-invalid': error('a lifetime that is no duration from 10s to 1h'),
  'algorithm-not-listed': error('an algorithm that this deployment has no key for'),

  // rules
  'rule-overlap': error('two rules for one caller and issuer'),
  'rule-without-scopes': error('a rule that gives nothing'),
  'scope-unknown': error('a scope that the target does not have'),
  'scope-unjustifiable': error('a justification that the tokens of the caller cannot bring'),
  'actors-with-impersonate': error('actor tokens where nobody acts'),
  'condition-invalid': error('an expression that does not parse, or has the wrong type'),
  'conditions-too-costly': error('conditions that together could take too long'),
  'mode-without-when': error('`mode` without a condition'),
  'forward-workload': error("a rule that hands a workload's own token on"),
  'forward-alone': error('a forwarding rule with keys that only a minted token could have'),

  // embedding
  'embed-not-embeddable': error('a token inside another that its service does not allow there'),
  'embed-identity': error('a hop between that is not exactly one workload'),
  'embed-not-called': error('a hop between that does not call the embedded service'),
  'embed-without-rule': error('an embedded token that no rule gives'),
  'embed-forward': error('an embedded token that would be forwarded'),
  'embed-impersonate': error('an embedded token that would drop `act`'),
  'embed-cycle': error('a circle of tokens within tokens'),
  'embed-too-deep': error('too many levels of tokens within tokens'),
  'embed-too-many': error('too many tokens along with one'),

  // what can never be
  'claim-never-there': error('a condition on a claim that no earlier hop passes on'),
  'actor-never-there': error('a condition on an actor token where none is taken'),
  'claim-test-never-true': warning('a test for a claim that no earlier hop passes on'),
  'claim-never-arrives': warning('a listed claim that no caller can pass on'),
  'deny-never-fires': warning('a deny that can never meet anybody'),
  'rule-shadowed': warning('a rule that a deny makes useless'),
  'rule-unreachable': warning('a rule that no token can ever use'),
  'scope-unreachable': warning('a scope of a rule that no token can ever justify'),
  'embed-unreachable': warning('an embedded token that is always denied'),
  'condition-constant': warning('a condition that reads nothing'),

  // halves of a consent
  'call-without-rule': warning('`calls` that the target does not accept'),
  'rule-without-call': warning('a rule whose caller does not list the target in `calls`'),
  'presenter-missing': warning('a rule for an issuer whose tokens its caller may not present'),
  'presenter-unknown': warning('`presented_by` of the issuers file names no service'),

  // what is there for nothing
  'service-unused': warning('a service that takes part in nothing'),
  'scope-never-given': warning('a scope that no rule gives'),
  'grant-unused': warning('a grant that justifies nothing'),
  'embeddable-unused': warning('`embeddable` without an `embed`'),
  'also-audience-unused': warning('`also_audiences` without a forwarding rule'),

  // more than is needed
  'wildcard-from': warning('`namespace/*` for callers of which most do not call'),
  'wildcard-identity': warning('an identity pattern over several namespaces'),
  'wildcard-grant': warning('a grant for whatever workload fits a pattern'),
  'lifetime-cut': warning('a lifetime that no token can have'),
  'budget-over-cap': warning('a token that may become larger than this deployment mints'),
  'budget-over-cache': warning('a token that may become larger than what Envoy caches'),

  // waivers
  'waiver-unknown': error('a waiver of a finding or a service that does not exist'),
  'waiver-of-error': error('a waiver of an error'),
  'waiver-unused': warning('a waiver that waives nothing'),
} as const satisfies Record<string, FindingKind>

/** A stable id; part of `--json`, of SARIF and of waivers. */
export type FindingId = keyof typeof FINDINGS

/** Whether a text is the id of a finding. */
export const isFinding = (id: string): id is FindingId => Object.hasOwn(FINDINGS, id)
