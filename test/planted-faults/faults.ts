// Owns the planted faults: one change each to a ruleset of which nothing is to be said, and who finds it.
// Must not run anything.

/** One fault that a tired admin would make. */
export interface Fault {
  readonly name: string
  /** Folder of the clean twin. */
  readonly base: 'shop' | 'office' | 'teams' | 'relay'
  readonly file: string
  readonly from: string
  readonly to: string
  readonly finds: Finder
}

/** What finds it, and what is told. */
export type Finder =
  /** Exactly these findings. */
  | { readonly by: 'check'; readonly ids: readonly string[] }
  /** Exactly these tests fail. */
  | { readonly by: 'test'; readonly failing: readonly string[] }
  /** Exactly these entries of `never` do not hold. */
  | { readonly by: 'prove'; readonly broken: readonly string[] }
  /** Compared with the clean twin; the text that it tells holds this. */
  | { readonly by: 'diff'; readonly tells: RegExp }

const check = (...ids: readonly string[]): Finder => ({ by: 'check', ids })
const test = (...failing: readonly string[]): Finder => ({ by: 'test', failing })
const prove = (...broken: readonly string[]): Finder => ({ by: 'prove', broken })
const diff = (tells: RegExp): Finder => ({ by: 'diff', tells })

const SHOP = { base: 'shop', file: 'rules/shop.yaml' } as const
const OFFICE = { base: 'office', file: 'rules/office.yaml' } as const
const RELAY = { base: 'relay', file: 'rules/travel.yaml' } as const
const TEAM_SHOP = { base: 'teams', file: 'rules/shop.yaml' } as const
const TEAM_PAY = { base: 'teams', file: 'rules/pay.yaml' } as const

const RISK = 'when: has(subject.claims.risk) && subject.claims.risk == "high", '

export const FAULTS: readonly Fault[] = [
  // Who may obtain what
  {
    ...SHOP,
    name: 'a scope that is widened through a third hop',
    from: '{from: mail, scopes: {payment:receipt: [mail:send]}}',
    to: '{from: mail, scopes: {payment:receipt: [mail:send], payment:refund: [mail:send]}}',
    finds: prove('shop/mail obtains payment:refund'),
  },
  {
    ...SHOP,
    name: 'a scope that is copied into the wrong rule',
    from: '{from: orders, scopes: {payment:charge: [orders:place]}}',
    to: '{from: orders, scopes: {payment:charge: [orders:place], payment:refund: [orders:place]}}',
    finds: prove('shop/orders obtains payment:refund'),
  },
  {
    ...SHOP,
    name: 'any instead of all: one person alone gives money back',
    from: '{all: [support:refund, support:approved]}',
    to: '{any: [support:refund, support:approved]}',
    finds: test('one person alone gives no money back'),
  },
  {
    ...SHOP,
    name: 'a justification that was widened to what is cheap to get',
    from: 'scopes: {payment:charge: [orders:place]}',
    to: 'scopes: {payment:charge: [orders:place, orders:quote]}',
    finds: test('a quote is not charged'),
  },
  {
    ...SHOP,
    name: 'a `when` that was taken out to try something',
    from: '        when: subject.claims.email_verified == true\n',
    to: '',
    finds: test('an address that was not confirmed gets no quote'),
  },
  {
    ...SHOP,
    name: 'a condition of a scope that went with a rewrite',
    from: `orders:place: {all: [shop:buy, shop:verified], when: '"otp" in subject.claims.amr'}`,
    to: 'orders:place: {all: [shop:buy, shop:verified]}',
    finds: test('without a second factor there is no order'),
  },
  {
    ...SHOP,
    name: 'a condition in audit mode that was never enforced again',
    from: `when: '"otp" in subject.claims.amr'}`,
    to: `when: '"otp" in subject.claims.amr', mode: audit}`,
    finds: test('without a second factor there is no order'),
  },
  {
    ...SHOP,
    name: 'a scope more for an existing edge, in a pull request',
    from: '{from: web, issuer: corporate, act: impersonate, scopes: {reviews:write: [shop:buy]}}',
    to: '{from: web, issuer: corporate, act: impersonate, scopes: {reviews:write: [shop:buy, shop:browse]}}',
    finds: diff(/reviews:write/),
  },
  {
    ...OFFICE,
    name: 'a grant too many',
    from: 'grants: [books:close]',
    to: 'grants: [books:close, books:admin]',
    finds: prove('office/closing obtains books:purge'),
  },
  {
    ...OFFICE,
    name: 'a grant that nothing needs any more',
    from: 'grants: [books:admin]',
    to: 'grants: [books:admin, books:reopen]',
    finds: check('grant-unused'),
  },
  {
    base: 'teams',
    file: 'issuers.yaml',
    name: 'presented_by too wide: the ads may hand in users’ tokens',
    from: '[shop/web]',
    to: '[shop/web, shop/ads]',
    finds: prove('shop/ads sees country'),
  },
  {
    base: 'teams',
    file: 'issuers.yaml',
    name: 'presented_by of a service that was renamed',
    from: '[shop/web]',
    to: '[shop/web, shop/mobile]',
    finds: check('presenter-unknown'),
  },

  // Denies
  {
    ...OFFICE,
    name: 'a deny that was put into audit mode and left there',
    from: '{from: reporting, reason: reports-read-the-copy}',
    to: '{from: reporting, mode: audit, reason: reports-read-the-copy}',
    finds: prove('office/reporting obtains books:read'),
  },
  {
    ...OFFICE,
    name: 'a deny for the wrong one',
    from: '{from: reporting, reason',
    to: '{from: ledger, reason',
    finds: check('external-calls'),
  },
  {
    ...SHOP,
    name: 'a deny that can never fire, because a hop dropped the claim',
    from: 'claims: [email, risk]',
    to: 'claims: [email]',
    finds: check('deny-never-fires'),
  },
  {
    ...SHOP,
    name: 'a deny that no rule lets anybody meet',
    from: `{from: orders, ${RISK}`,
    to: `{from: web, ${RISK}`,
    finds: check('deny-never-fires'),
  },
  {
    ...SHOP,
    name: 'a deny that forgets that the claim may be absent',
    from: RISK,
    to: 'when: subject.claims.risk == "high", ',
    finds: test('an order without a risk is charged', 'a quote is not charged'),
  },
  {
    ...SHOP,
    name: 'a deny with a typing error in its value',
    from: 'subject.claims.risk == "high"',
    to: 'subject.claims.risk == "hihg"',
    finds: test('a risky session is not charged'),
  },
  {
    ...SHOP,
    name: 'a deny of everybody that was meant for one',
    from: `{from: orders, ${RISK}reason: high-risk}`,
    to: '{from: desk, reason: high-risk}',
    finds: check('rule-shadowed'),
  },

  // Claims
  {
    ...SHOP,
    name: 'a claim that leaks by adding it to one list',
    from: '    claims: [risk]\n',
    to: '    claims: [risk, email]\n',
    finds: prove('shop/payment sees email'),
  },
  {
    ...TEAM_SHOP,
    name: 'a condition two hops on reads what a hop dropped',
    from: 'claims: [country, tier]',
    to: 'claims: [tier]',
    finds: check('claim-never-arrives', 'claim-never-arrives', 'claim-never-there'),
  },
  {
    ...TEAM_PAY,
    name: 'a condition with the name of the claim misspelt',
    from: 'subject.claims.country != "ZZ"',
    to: 'subject.claims.contry != "ZZ"',
    finds: check('claim-never-there'),
  },
  {
    ...SHOP,
    name: 'a condition that is a text',
    from: 'when: subject.claims.email_verified == true',
    to: `when: '"subject.claims.email_verified" != ""'`,
    finds: check('condition-constant'),
  },
  {
    ...TEAM_SHOP,
    name: 'a list of claims copied from the directory',
    from: 'claims: [country, tier]',
    to: `claims: [country, tier, ${Array.from({ length: 140 }, (_, at) => `ad-${at}x`).join(', ')}]`,
    finds: check('budget-over-cap'),
  },

  // Edges
  {
    ...TEAM_SHOP,
    name: 'a forgotten issuer at the edge',
    from: '{from: web, issuer: corporate, scopes: {ads:show',
    to: '{from: web, scopes: {ads:show',
    finds: check('scope-unjustifiable'),
  },
  {
    ...OFFICE,
    name: 'a forgotten issuer of a job',
    from: '{from: closing, issuer: workload, scopes: {ledger:post',
    to: '{from: closing, scopes: {ledger:post',
    finds: check('scope-unjustifiable'),
  },
  {
    ...SHOP,
    name: 'impersonation where there was delegation, behind another hop',
    from: '{from: orders, scopes: {mail:send: [orders:place]}}',
    to: '{from: orders, act: impersonate, scopes: {mail:send: [orders:place]}}',
    finds: check('rule-unreachable'),
  },
  {
    ...TEAM_SHOP,
    name: 'impersonation where there was delegation, at the edge',
    from: '{from: web, issuer: corporate, scopes: {cart:show',
    to: '{from: web, issuer: corporate, act: impersonate, scopes: {cart:show',
    finds: diff(/shop\/cart <- shop\/web \[corporate\]/),
  },
  {
    ...SHOP,
    name: 'actor tokens of an issuer too many',
    from: 'actors: [agents]',
    to: 'actors: [agents, corporate]',
    finds: test('a shopper brings no actor token of the company'),
  },
  {
    ...TEAM_PAY,
    name: 'a namespace for one service',
    from: '{from: gateway, scopes: {card:use: [gateway:charge]}}',
    to: '{from: pay/*, scopes: {card:use: [gateway:charge]}}',
    finds: check('wildcard-from'),
  },
  {
    ...OFFICE,
    name: 'two rules that overlap',
    from: '      - from: office/*\n        issuer: workload\n',
    to: '      - {from: closing, issuer: workload, scopes: {books:write: [books:close]}}\n      - from: office/*\n        issuer: workload\n',
    finds: check('rule-overlap'),
  },
  {
    ...TEAM_SHOP,
    name: 'a call that the other team does not accept',
    from: 'calls: [pay/gateway]',
    to: 'calls: [pay/gateway, pay/vault]',
    finds: check('call-without-rule'),
  },
  {
    ...TEAM_PAY,
    name: 'a rule for a caller that does not call',
    from: '{from: gateway, scopes: {card:use: [gateway:charge]}}',
    to: '{from: [gateway, shop/cart], scopes: {card:use: [gateway:charge]}}',
    finds: check('scope-unjustifiable'),
  },
  {
    ...TEAM_PAY,
    name: 'a call that went with a clean-up',
    from: 'calls: [vault, fraud]',
    to: 'calls: [vault]',
    finds: check('rule-without-call'),
  },
  {
    ...OFFICE,
    name: 'a prefix of scopes that was changed for one issuer',
    file: 'issuers.yaml',
    from: 'prefix: "role:"',
    to: 'prefix: "group:"',
    finds: check('rule-unreachable'),
  },

  // Identities and names
  {
    ...TEAM_SHOP,
    name: 'an identity over all namespaces instead of two',
    from: '[spiffe://cluster.local/ns/shop-eu/sa/web, spiffe://cluster.local/ns/shop-us/sa/web]',
    to: 'spiffe://cluster.local/ns/*/sa/web',
    finds: check('wildcard-identity'),
  },
  {
    ...OFFICE,
    name: 'an identity of everybody in the own namespace',
    from: 'spiffe://cluster.local/ns/reports/sa/*',
    to: 'spiffe://cluster.local/ns/office/sa/*',
    finds: check('identity-not-usable', 'identity-not-usable'),
  },
  {
    ...OFFICE,
    name: 'a grant for whatever fits a pattern',
    from: '  janitor:\n',
    to: '  janitor:\n    identity: spiffe://cluster.local/ns/cleaning/sa/*\n',
    finds: check('wildcard-grant'),
  },
  {
    ...TEAM_PAY,
    name: 'names that look alike',
    from: '  lists:\n',
    to: '  1ists: {external: true, audience: https://other.example}\n  lists:\n',
    finds: check('name-look-alike', 'service-unused'),
  },
  {
    ...TEAM_PAY,
    name: 'an audience that Envoy takes for another',
    from: '    audience: https://vault.pay.example\n',
    to: '    audience: gateway.pay/\n',
    finds: check('audience-ambiguous'),
  },
  {
    ...SHOP,
    name: 'a scope with a typing error',
    from: 'stock:reserve: [orders:place]',
    to: 'stock:reserv: [orders:place]',
    finds: check('scope-unknown'),
  },
  {
    ...TEAM_PAY,
    name: 'a justification with a typing error',
    from: 'card:use: [gateway:charge]',
    to: 'card:use: [gateway:chrage]',
    finds: check('scope-unjustifiable'),
  },

  // What was left
  {
    ...RELAY,
    name: 'a service that is left over',
    from: '  weather:\n',
    to: '  timetable: {audience: https://old.example}\n  weather:\n',
    finds: check('service-unused'),
  },
  {
    ...SHOP,
    name: 'a scope that no rule gives any more',
    from: 'scopes: [orders:quote, orders:place]',
    to: 'scopes: [orders:quote, orders:place, orders:cancel]',
    finds: check('scope-never-given'),
  },
  {
    ...RELAY,
    name: 'a waiver whose finding is mended',
    from: 'waivers:\n',
    to: 'waivers:\n  - {finding: service-unused, at: radar, reason: its rules come with the next release}\n',
    finds: check('waiver-unused'),
  },
  {
    ...TEAM_PAY,
    name: 'a key that stands twice after a merge',
    from: '    token: {lifetime: 30s}\n',
    to: '    token: {lifetime: 30s}\n    token: {lifetime: 1h}\n',
    finds: check('yaml-invalid'),
  },

  // Lifetimes
  {
    ...SHOP,
    name: 'a lifetime of an hour, so that it does not expire in the debugger',
    from: 'token: {lifetime: 1m}',
    to: 'token: {lifetime: 1h}',
    finds: test('an order is charged'),
  },
  {
    ...TEAM_PAY,
    name: 'a lifetime that no token can have',
    from: 'token: {lifetime: 30s}',
    to: 'token: {lifetime: 5m}',
    finds: check('lifetime-cut'),
  },

  // Tokens inside tokens, and tokens that travel on
  {
    ...RELAY,
    name: 'a circle of embeddings',
    from: '{from: seats, scopes: {trips:show: [seats:hold]}, embed: [rail]}',
    to: '{from: seats, scopes: {trips:show: [seats:hold]}, embed: [rail, seats]}',
    finds: check('embed-cycle', 'embed-cycle', 'embed-not-embeddable'),
  },
  {
    ...SHOP,
    name: 'a secret token that is handed to the edge inside another',
    from: '        embed: [stock]\n',
    to: '        embed: [stock, payment]\n',
    finds: prove('shop/web obtains payment:charge'),
  },
  {
    ...RELAY,
    name: 'a token of all powers that travels on',
    from: 'scopes: {guide:read: [travel:look], places:read: [travel:look]}',
    to: 'scopes: {guide:read: [travel:look], places:read: [travel:look], places:edit: [travel:look]}',
    finds: prove('travel/app obtains places:edit'),
  },
  {
    ...RELAY,
    name: 'an audience that is shared with somebody else',
    from: '  weather:\n',
    to: '  weather:\n    also_audiences: [trips.travel]\n',
    finds: check('also-audience-unused'),
  },
  {
    ...RELAY,
    name: 'a claim that reaches the places with the token that travels on',
    from: '    scopes: [guide:read, places:read, places:edit]\n',
    to: '    scopes: [guide:read, places:read, places:edit]\n    claims: [passport]\n',
    finds: prove('travel/places sees passport'),
  },
  {
    ...RELAY,
    name: 'an embedded token that its service does not allow inside another',
    from: '    scopes: [rail:reserve]\n    embeddable: true\n',
    to: '    scopes: [rail:reserve]\n',
    finds: check('embed-not-embeddable', 'embed-not-embeddable'),
  },
]

/** A change to the rules that a server has decided by, and what a replay of its decisions tells. */
export interface ReplayedFault {
  readonly name: string
  readonly from: string
  readonly to: string
  readonly failOn: 'new-allow' | 'new-deny'
  /** The one decision that fails: what it was. */
  readonly before: string
}

/** Claims of those who asked it, each once, for all that is justified. */
export const ASKED: readonly Readonly<Record<string, unknown>>[] = [
  { sub: 'anna', scope: 'shop:browse', email_verified: true, risk: 'low' },
  { sub: 'bert', scope: 'shop:buy', email_verified: true, risk: 'low' },
  { sub: 'carl', scope: 'shop:browse', email_verified: true, risk: 'high' },
  { sub: 'dora', scope: 'shop:browse', email_verified: false, risk: 'low' },
]

export const REPLAYED: readonly ReplayedFault[] = [
  {
    name: 'any instead of all, as those who asked know it',
    from: '{all: [shop:buy, shop:verified]}',
    to: '{any: [shop:buy, shop:verified]}',
    failOn: 'new-allow',
    before: 'scope_none_justified',
  },
  {
    name: 'a deny that watches only',
    from: '== "high", reason',
    to: '== "high", mode: audit, reason',
    failOn: 'new-allow',
    before: 'deny_condition_met',
  },
  {
    name: 'a condition that was turned round',
    from: 'subject.claims.email_verified == true',
    to: 'subject.claims.email_verified != true',
    failOn: 'new-allow',
    before: 'condition_false',
  },
  {
    name: 'a scope more that is needed, and that nobody has yet',
    from: 'checkout:quote: [shop:browse]',
    to: 'checkout:quote: {all: [shop:browse, shop:member]}',
    failOn: 'new-deny',
    before: 'granted checkout:quote',
  },
]
