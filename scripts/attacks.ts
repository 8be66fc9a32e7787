// Owns the attack corpus in words: defects of other token services, and what stands against each here.
// Must not name tests: they name the numbers, and scripts/security-page.ts joins the two.

/** One attack or defect. */
export interface Attack {
  readonly number: number
  readonly attack: string
  /** The kind of software in which it was found. */
  readonly foundIn: string
  readonly here: string
  /** Why it does not arise here; then no test is asked for. */
  readonly notHere?: string
}

export const ATTACKS: readonly Attack[] = [
  {
    number: 1,
    attack:
      'A delegated token is exchanged without an actor token and leaves without its `act` or `may_act`.',
    foundIn:
      'Identity providers and libraries that recognise delegation by the parameters of the request',
    here: 'Both are read from the token; impersonation is refused for such a token; the mint compares chains again.',
  },
  {
    number: 2,
    attack: '`may_act` is in the token and decides nothing.',
    foundIn: 'Identity providers where delegation was added behind a switch',
    here: 'It must name who acts, by issuer and subject, on every path; members that are not known refuse the token.',
  },
  {
    number: 3,
    attack: 'A scope is asked that the client may have, and the subject token does not bring.',
    foundIn: 'Servers that hold scopes against the client’s registration',
    here: 'A scope is justified by scopes of the subject token only, in the decision and again in the mint.',
  },
  {
    number: 4,
    attack: 'The rights of the actor token widen the result.',
    foundIn: 'Servers that accept the union of both tokens',
    here: 'Of an actor token only its identity and its `exp` count.',
  },
  {
    number: 5,
    attack: 'Each exchange starts a new lifetime: a chain that keeps calling never ends.',
    foundIn: 'Services that set `exp` from now',
    here: '`exp` is at most that of every token that was handed in; no leeway is added.',
  },
  {
    number: 6,
    attack: 'A token that was sent to somebody else is exchanged.',
    foundIn: 'Services that looked at the audience late, or never',
    here: 'A token is presented by the service that its audience names; for other issuers the map says which.',
  },
  {
    number: 7,
    attack:
      'A doubled or emptied parameter takes the subject token away, and the request means something else.',
    foundIn: 'Servers whose layers read parameters differently',
    here: 'One form parser; repeats are refused, empty counts as absent, and there is one grant.',
  },
  {
    number: 8,
    attack: '`alg: none`, an algorithm of the attacker’s choice, a key in the header.',
    foundIn: 'JWT libraries, and those who call them without a list',
    here: 'Algorithms by issuer and by key; no HMAC; keys come from configuration alone.',
  },
  {
    number: 9,
    attack: 'An unknown audience is left out and a wider token issued.',
    foundIn: 'Servers that treat audiences as a filter',
    here: 'All that is asked is granted, or nothing is.',
  },
  {
    number: 10,
    attack: 'An alternative in a pattern escapes its anchors; a pattern spans a path or a host.',
    foundIn: 'Trust policies written as regular expressions',
    here: 'No expressions: `*` is one whole path segment of an identity.',
  },
  {
    number: 11,
    attack: 'Two rules fit, and which one decides is a matter of order or chance.',
    foundIn: 'Engines that walk over a map of rules',
    here: 'Overlaps are load errors; a decision is one look-up.',
  },
  {
    number: 12,
    attack: 'An `act` that is no object crashes the server, or is kept.',
    foundIn: 'Servers that cast claims',
    here: 'The claim is parsed level by level; anything else refuses the token.',
  },
  {
    number: 13,
    attack: 'An `act` of a thousand levels, or of many kilobytes.',
    foundIn: 'The reason for caps elsewhere',
    here: 'Depth and bytes are capped at the entrance and at the mint; nothing is cut off.',
  },
  {
    number: 14,
    attack: 'A client assertion is sent again within its life.',
    foundIn: 'Services that require a `jti` and do not store it',
    here: 'One use, durable, across processes.',
  },
  {
    number: 15,
    attack: 'A token is parsed without verification where a switch is off.',
    foundIn: 'Services with a development mode',
    here: 'No setting skips a signature; each relaxation has a name and is logged.',
  },
  {
    number: 16,
    attack:
      'A forged X-Forwarded-Client-Cert: from elsewhere, in front of the sidecar’s, inside a certificate.',
    foundIn: 'Applications that read the first element, or any sender’s',
    here: 'Pinned peer, strict grammar, exactly one element, `By` is this service.',
  },
  {
    number: 17,
    attack: 'A key signs before verifiers can have it.',
    foundIn: 'Providers that rotate at once',
    here: 'A key is published for the lead before it signs; only `init` and an emergency rotation make one that need not wait.',
  },
  {
    number: 18,
    attack: 'A key leaves while its last tokens live.',
    foundIn: 'Providers that count from the rotation',
    here: 'It stays for the longest lifetime, skew and a refresh.',
  },
  {
    number: 19,
    attack: 'The same `sub` of two issuers is one user.',
    foundIn: 'Services that pass `sub` on as it is',
    here: 'A prefix for each issuer, required and unique.',
  },
  {
    number: 20,
    attack: 'No condition was written, so everybody may.',
    foundIn: 'Federation with optional conditions',
    here: 'Empty means nobody or does not load; there is no rule without issuer, caller and justification.',
  },
  {
    number: 21,
    attack: 'Introspection leaves `act` out.',
    foundIn: 'Identity providers',
    here: '–',
    notHere: 'There is no introspection in this version.',
  },
  {
    number: 22,
    attack: 'The binding of a token to a key is lost on one of two paths.',
    foundIn: 'Servers where delegation and impersonation are two implementations',
    here: 'There is one path, and a bound token is refused on it.',
  },
  {
    number: 23,
    attack:
      'A service-account token for somebody else, or without audience; a SPIFFE ID of another trust domain.',
    foundIn: 'Services that verify the signature and stop there',
    here: 'Our audience alone; keys by trust domain; trust domains by list.',
  },
  {
    number: 24,
    attack: 'All parts work, and the way through them does not.',
    foundIn: 'Servers that were tested with fakes',
    here: 'Two hops through real Envoys, to a backend that verifies the token.',
  },
  {
    number: 25,
    attack:
      'Single use where tokens are meant to be shown many times: the second call fails until the next renewal.',
    foundIn: 'Servers with one rule for every assertion',
    here: 'Single use for keys that callers hold; not for projected tokens and SVIDs.',
  },
  {
    number: 26,
    attack: 'A 200 without keys while the service starts or fails; istiod hands it to every proxy.',
    foundIn: 'Anything in front of a JWKS endpoint',
    here: 'The last complete set, or 503.',
  },
]
