// Owns the checkable lines of the standards that this service speaks, in our own words.
// Must not name tests: they name these ids, and scripts/conformance-table.ts joins the two.

/** RFC 2119 levels; `fact` is a definition or a consequence that the service has to live by. */
export type Level = 'MUST' | 'SHOULD' | 'MAY' | 'fact'

/** One line of a standard. */
export interface Requirement {
  readonly id: string
  readonly level: Level
  /** Where it stands in its document. */
  readonly section: string
  readonly says: string
  /** Why it is no requirement on this service; then no test is asked for. */
  readonly notHere?: string
}

/** A document and its lines. */
export interface Standard {
  readonly title: string
  readonly requirements: readonly Requirement[]
}

const must = (id: string, section: string, says: string): Requirement => ({
  id,
  level: 'MUST',
  section,
  says,
})
const should = (id: string, section: string, says: string): Requirement => ({
  ...must(id, section, says),
  level: 'SHOULD',
})
const may = (id: string, section: string, says: string): Requirement => ({
  ...must(id, section, says),
  level: 'MAY',
})
const fact = (id: string, section: string, says: string): Requirement => ({
  ...must(id, section, says),
  level: 'fact',
})
const notHere = (requirement: Requirement, why: string): Requirement => ({
  ...requirement,
  notHere: why,
})

const NO_INTROSPECTION = 'There is no introspection endpoint in this version; metadata names none.'
const NO_REVOCATION = 'There is no revocation endpoint in this version; metadata names none.'

export const STANDARDS: readonly Standard[] = [
  {
    title: 'RFC 8693, OAuth 2.0 Token Exchange',
    requirements: [
      must(
        'TE-01',
        '2.1',
        'A request is a POST of a form in UTF-8 with the grant type of token exchange.',
      ),
      must('TE-02', '2.1', '`subject_token` and `subject_token_type` are required.'),
      must('TE-03', '2.1', '`actor_token_type` comes with `actor_token`, and never without it.'),
      must('TE-04', '2.1', '`resource` is an absolute URI without fragment, and may be repeated.'),
      must('TE-05', '2.1', '`audience` may be repeated, and mixed with `resource`.'),
      fact(
        'TE-06',
        '2.1.1',
        'Every scope is asked at every target. One token has one target here, so two targets are refused.',
      ),
      may(
        'TE-07',
        '2.1',
        '`requested_token_type` says what is wanted; without it the server chooses.',
      ),
      must(
        'TE-08',
        '2.1',
        'Each token is validated as what it is declared to be, its validity in time included.',
      ),
      must(
        'TE-09',
        '2.2.1',
        'The answer is 200 and JSON, with `access_token`, `issued_token_type` and `token_type`.',
      ),
      must(
        'TE-10',
        '2.2.1',
        '`token_type` is `N_A` where the issued token is not called an access token.',
      ),
      should('TE-11', '2.2.1', '`expires_in` is there.'),
      must(
        'TE-12',
        '2.2.1',
        '`scope` is there where it differs from what was asked; here it always is.',
      ),
      fact(
        'TE-13',
        '2.2.1',
        'A refresh token is issued only for access that should outlive the exchange: never here.',
      ),
      must(
        'TE-14',
        '2.2.2',
        'An invalid request, and a subject or actor token that is invalid or not acceptable, is `invalid_request`.',
      ),
      should('TE-15', '2.2.2', 'A target for which no token can be issued is `invalid_target`.'),
      may('TE-16', '2.2.2', 'Other codes of RFC 6749 are used as they fit.'),
      fact(
        'TE-17',
        '3',
        'Token types are URIs; `access_token`, `id_token` and `jwt` are understood here.',
      ),
      fact(
        'TE-18',
        '3',
        '`jwt` names a format, `access_token` a use: a JWT access token may be called either.',
      ),
      must(
        'TE-19',
        '4.1',
        '`act` is an object of identity claims; `exp`, `nbf` and `aud` mean nothing in it.',
      ),
      must(
        'TE-20',
        '4.1',
        'The outermost `act` is the current actor. Only it, and the claims at the top, decide.',
      ),
      fact('TE-21', '4.2', '`scope` is one text, its values separated by spaces.'),
      fact('TE-22', '4.3', '`client_id` names the client that asked.'),
      fact('TE-23', '4.4', '`may_act` names who may act, by `iss` and `sub` together.'),
      fact(
        'TE-24',
        '1.1',
        'Impersonation has no `act`; delegation has the subject in `sub` and the actor in `act`.',
      ),
      should(
        'TE-25',
        '2.1, 5',
        'Clients authenticate: otherwise whoever finds a token can exchange it.',
      ),
      must('TE-26', '5, 6', 'Tokens travel over TLS, and carry no more claims than are needed.'),
      fact('TE-27', '2.1', 'An exchange has no effect on the tokens that were handed in.'),
      fact(
        'TE-28',
        '1.1, A.1.1',
        'What makes an `act` is the server’s policy: the authenticated caller is the actor here (docs/decisions/0009-the-caller-is-the-actor.md).',
      ),
      fact('TE-29', '2.1', 'An `audience` is a logical name that means one thing at this server.'),
    ],
  },
  {
    title: 'RFC 6749 and OAuth 2.1, the token endpoint',
    requirements: [
      must('OA-01', '6749 3.2', 'Only POST is accepted.'),
      must('OA-02', '6749 3.2', 'Unknown parameters are ignored; an empty one counts as absent.'),
      must(
        'OA-03',
        '6749 3.2',
        'A parameter that is repeated is `invalid_request`, but for `resource` and `audience`.',
      ),
      must('OA-04', '6749 5.1', 'What a token endpoint answers is `no-store`.'),
      must(
        'OA-05',
        '6749 5.2',
        'Errors are JSON and 400; a client that fails to authenticate gets 401 and a challenge of the scheme that it used.',
      ),
      must('OA-06', '6749 2.3', 'A client authenticates in one way only.'),
      fact('OA-07', '6749 5.2', 'The codes and their meaning.'),
      must(
        'OA-08',
        '6749 5.2',
        'Errors and descriptions keep to printable ASCII without quote and backslash.',
      ),
      must('OA-09', '6749 3.2', 'The token endpoint is an https URL without fragment.'),
      must('OA-10', '2.1 draft', 'Credentials are not taken from the query.'),
    ],
  },
  {
    title: 'RFC 8707, Resource Indicators',
    requirements: [
      must(
        'RI-01',
        '2',
        'A resource is an absolute URI without fragment; a query makes another resource of it.',
      ),
      fact('RI-02', '2', 'A resource that is missing, unknown or malformed is `invalid_target`.'),
      should('RI-03', '2.2', 'A token is restricted to the resource that was asked for.'),
      fact('RI-04', '2.2', 'One resource a token: several would widen what a stolen one can do.'),
      fact('RI-05', '3', 'Where tenants differ, they differ in the URI.'),
    ],
  },
  {
    title: 'RFC 9068, JWT access tokens',
    requirements: [
      must('AT-01', '2.1', 'Tokens are signed, never `none`; RS256 is among the algorithms.'),
      must('AT-02', '2.1', '`typ` is `at+jwt`.'),
      must('AT-03', '2.2', '`iss`, `exp`, `aud`, `sub`, `client_id`, `iat` and `jti` are there.'),
      should('AT-04', '2.2.3', '`scope` is there.'),
      fact(
        'AT-05',
        '2.2.3.1',
        'Groups and roles are claims like others: they pass where the target lists them.',
      ),
      must(
        'AT-06',
        '3',
        '`aud` is the requested resource; without one there is no default here. A token that would be ambiguous is not issued.',
      ),
      must(
        'AT-07',
        '3, 5',
        'Each resource has an audience of its own, and the scopes of a token make sense there.',
      ),
      must(
        'AT-08',
        '4',
        'Who takes such a token checks `typ`, `iss`, `aud`, signature, algorithm and `exp`.',
      ),
      fact('AT-09', '4', 'Every published key may sign tokens, so no other key is in the set.'),
      should('AT-10', '2.2, 5', 'No `sub` can be taken for a `client_id`.'),
    ],
  },
  {
    title: 'RFC 8725 and its revision, JWT Best Current Practices; RFC 7515, RFC 7519',
    requirements: [
      must(
        'BCP-01',
        '3.1',
        'Each key has one algorithm, each issuer a list; the header is held against both.',
      ),
      should(
        'BCP-02',
        '3.2',
        '`none` is not accepted. `EdDSA` keeps its old name, because Envoy knows no other.',
      ),
      must(
        'BCP-03',
        '3.3',
        'Every cryptographic operation is checked; JWS and JWE are told apart.',
      ),
      must('BCP-04', '3.4', 'Keys are validated: points on their curve, sizes, exponents.'),
      must('BCP-05', '3.5', 'No guessable HMAC secrets: no HMAC at all.'),
      must('BCP-06', '3.7', 'Texts are UTF-8.'),
      must('BCP-07', '3.8', 'Keys belong to `iss`, `sub` to that issuer.'),
      must('BCP-08', '3.9', '`aud` is there, and means the one who presents the token.'),
      must(
        'BCP-09',
        '3.10',
        '`kid` only chooses among configured keys; no key comes from a header; redirects are not followed.',
      ),
      should('BCP-10', '3.11', 'Types are explicit, and read with or without `application/`.'),
      must('BCP-11', '3.12', 'No kind of token passes for another.'),
      should(
        'BCP-12',
        '3.13, 3.15',
        'Work for decryption and decompression is bounded: there is no JWE and no compression.',
      ),
      must('BCP-13', '3.14', 'A compact token is base64url and dots, and nothing else.'),
      must('BCP-14', '3.1', '`alg` is compared with regard to case.'),
      must(
        'JWS-01',
        '7515 4.1.11',
        'A token with `crit` that is not understood is refused: none is.',
      ),
      must(
        'JWS-02',
        '7515 4, 7519 4',
        'Names that stand twice are refused, in header and payload.',
      ),
    ],
  },
  {
    title: 'RFC 7523 and its revision, JWT client assertions',
    requirements: [
      must('CA-01', '2.2', 'One JWT, under the registered assertion type.'),
      must(
        'CA-02',
        '3',
        '`iss`, `sub`, `aud`, `exp` and the signature are checked; expired is refused, `nbf` honoured.',
      ),
      must('CA-03', '3', 'Audiences are compared as texts.'),
      may(
        'CA-04',
        '3',
        'A `jti` counts once, and `exp` is not far away. For assertions that callers sign themselves; projected tokens and SVIDs are presented until they are renewed.',
      ),
      must('CA-05', '3.1', 'A failure is `invalid_client`.'),
      must('CA-06', '5', 'RS256 is implemented.'),
      must('CA-07', '3', '`client_id` is optional, and equals `sub`.'),
      must('CA-08', 'revision, 3', '`aud` is the issuer identifier alone, not the token endpoint.'),
      must(
        'CA-09',
        'revision, 3',
        '`typ` is `client-authentication+jwt`, `JWT` or absent; other types are refused.',
      ),
    ],
  },
  {
    title: 'SPIFFE: client authentication, IDs, JWT-SVIDs, bundles',
    requirements: [
      must('SC-01', 'client auth', 'One JWT-SVID, under its own assertion type.'),
      must(
        'SC-02',
        'client auth',
        '`sub` is of a known trust domain, `aud` the issuer alone, the signature by that domain’s bundle.',
      ),
      must(
        'SC-03',
        'client auth',
        '`iss` and `jti` are optional, and keys are never found through `iss`.',
      ),
      must(
        'SC-04',
        'client auth',
        'An X.509-SVID has one URI SAN, is no authority, and may sign; `client_id` says the same.',
      ),
      must(
        'SC-05',
        'client auth',
        'Bundles are configured, one for each trust domain, and polled.',
      ),
      must('SC-06', 'client auth', 'The system’s trust store is never used for SVIDs.'),
      notHere(
        must('SC-07', 'client auth', 'WIT-SVIDs through attestation-based client authentication.'),
        'Proof of possession is not built: a bearer WIT would be weaker than what there is.',
      ),
      must(
        'SP-01',
        'SPIFFE-ID 2',
        'The grammar of SPIFFE IDs: lower-case trust domain, no empty or dot segments, no percent-encoding, 2048 bytes.',
      ),
      must(
        'SP-02',
        'JWT-SVID 2, 3',
        'Header of `alg`, `kid`, `typ`; no EdDSA; `sub`, `aud` and `exp` required.',
      ),
      must(
        'SP-03',
        'Bundle 4',
        'Only keys for JWT-SVIDs count; unknown ones are skipped; an empty bundle revokes everything.',
      ),
      must('SP-04', 'Bundle 6', 'A trust domain stands once among the bundles.'),
    ],
  },
  {
    title: 'RFC 8705, mutual TLS',
    requirements: [
      must(
        'MT-01',
        '2',
        '`client_id` names the client of a certificate. Callers need not send it here: the SPIFFE ID of the certificate is the client; where it is sent it must be the same.',
      ),
      fact(
        'MT-02',
        '2.1',
        'A client registers one name of its certificate: the URI SAN, in its service’s entry.',
      ),
      must(
        'MT-03',
        '3',
        'A bound token carries the hash of the certificate, and is refused without it. None is issued here, and a bound one that is handed in is refused.',
      ),
      notHere(
        may('MT-04', '5', 'Endpoints for mutual TLS stand in the metadata.'),
        'There is one token endpoint in the metadata; inside the mesh the sidecar ends TLS.',
      ),
    ],
  },
  {
    title: 'RFC 8414, metadata',
    requirements: [
      must('MD-01', '3.1', 'The well-known part of the path stands between host and issuer path.'),
      must(
        'MD-02',
        '2, 3.3',
        'The issuer is https without query and fragment, and the document’s is identical.',
      ),
      must('MD-03', '2', '`token_endpoint` is there.'),
      fact(
        'MD-04',
        '2, 3.2',
        '`response_types_supported` is required, empty lists are forbidden; there is no authorization endpoint, so it is left out.',
      ),
      must(
        'MD-05',
        '2',
        'Algorithms of assertions are listed where a method takes one; never `none`.',
      ),
      must('MD-06', '2', 'Keys say their use.'),
      must('MD-07', '3.2', '200 and `application/json`.'),
      fact(
        'MD-08',
        '2',
        'Without a list of methods the default is Basic, which does not exist here: it is always listed.',
      ),
      fact(
        'MD-09',
        '2',
        'Without a list of grants the default is the code grant: token exchange is listed.',
      ),
      fact(
        'MD-10',
        'OpenID Discovery',
        'istiod reads the OpenID document where a policy gives no `jwksUri`.',
      ),
    ],
  },
  {
    title: 'RFC 9700, Security Best Current Practice',
    requirements: [
      should('SB-01', '2.3', 'Tokens are restricted to an audience.'),
      notHere(
        should('SB-02', '2.2.1', 'Tokens are bound to their sender.'),
        'Envoy’s jwt_authn checks no `cnf`, so a bound token would be no safer; rendered policies demand the sender’s mesh identity beside the token instead.',
      ),
      should(
        'SB-03',
        '2.5',
        'Clients authenticate by mutual TLS or a key pair, not by a shared secret.',
      ),
      must('SB-04', '4.3.2', 'No token stands in a URL.'),
      should('SB-05', '2.3', 'A token carries the least privilege.'),
      must('SB-06', '4.15', 'A client cannot choose a `client_id` or claims that pass for a user.'),
      must('SB-07', '4.13', 'Identity headers count only from the proxy that sets them.'),
      should('SB-08', '2.6', 'Metadata is published.'),
      should(
        'SB-09',
        '2.6',
        'TLS goes end to end: the sidecar’s to loopback, or this process ends it itself.',
      ),
    ],
  },
  {
    title: 'RFC 7662, introspection; RFC 7009, revocation',
    requirements: [
      notHere(
        must('IN-01', '7662 2.1', 'The endpoint authenticates its caller.'),
        NO_INTROSPECTION,
      ),
      notHere(
        must('IN-02', '7662 2.2', 'What is not active answers `{"active": false}` alone.'),
        NO_INTROSPECTION,
      ),
      notHere(must('IN-03', '7662 2.1', 'A POST of a form with `token`.'), NO_INTROSPECTION),
      notHere(must('IN-04', '7662 4', 'Answers are not cached beyond `exp`.'), NO_INTROSPECTION),
      notHere(
        must('IN-05', '7662 2.2', '`act`, `may_act`, `scope` and `client_id` are as in the token.'),
        NO_INTROSPECTION,
      ),
      notHere(
        must('RV-01', '7009 2.2', '200 for success and for an unknown token.'),
        NO_REVOCATION,
      ),
      notHere(
        must('RV-02', '7009 2.1', 'Clients authenticate, and revoke their own tokens.'),
        NO_REVOCATION,
      ),
      notHere(
        must('RV-03', '7009 2.2.1', '`unsupported_token_type` for types that cannot be revoked.'),
        NO_REVOCATION,
      ),
      notHere(
        fact(
          'RV-04',
          '7009 3',
          'Revoking a self-contained token has no effect at Envoy before its `exp`.',
        ),
        NO_REVOCATION,
      ),
    ],
  },
]

/** Standards next door that this version does not speak, and what it does instead. */
export const NOT_SPOKEN: readonly (readonly [standard: string, instead: string])[] = [
  ['RFC 9449, DPoP', 'No token is bound; a `cnf` that comes in is refused (MT-03).'],
  [
    'RFC 9396, Rich Authorization Requests',
    'Istio cannot match lists of objects; rights are scopes.',
  ],
  ['draft-ietf-oauth-transaction-tokens', '`requested_token_type` for them is refused (TE-07).'],
  ['Identity chaining, ID-JAG', 'External targets get access tokens of this issuer.'],
  [
    'WIMSE WIT and WPT',
    'Workloads prove themselves by X.509-SVID, JWT-SVID or service-account token.',
  ],
]
