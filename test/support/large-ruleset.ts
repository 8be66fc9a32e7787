// Owns generated rulesets of any size, written as people write rules: block style, five to eight lines a rule.
// Must not load them.

/** How much of each. A service has at most one rule for each other service, so it has fewer rules than there are services. */
export interface RulesetSize {
  readonly services: number
  /** One file each. */
  readonly namespaces: number
  readonly rulesPerService: number
}

/** 100,000 rules of 2,000 services in 50 files: 690,000 lines, 22 MB. */
export const LARGE: RulesetSize = { services: 2_000, namespaces: 50, rulesPerService: 50 }

/** Coprime to the numbers of services, so that the callers of a service are spread over all of them. */
const STRIDE = 37
const ISSUERS = ['corporate', undefined, 'agents'] as const

/** Rule files; issuers `corporate` and `agents` must be known. */
export function largeRuleset(
  size: RulesetSize,
): { readonly file: string; readonly text: string }[] {
  return Array.from({ length: size.namespaces }, (_, index) => ({
    file: `${namespaceOf(index, size)}.yaml`,
    text: textOf(index, size),
  }))
}

const namespaceOf = (service: number, { namespaces }: RulesetSize): string =>
  `team-${String(service % namespaces).padStart(2, '0')}`

const shortName = (service: number): string => `svc-${String(service).padStart(4, '0')}`

/** `namespace/name` of a service. */
export const serviceName = (service: number, size: RulesetSize): string =>
  `${namespaceOf(service, size)}/${shortName(service)}`

/** The service that is the caller in a rule of a service. */
export const callerIn = (target: number, rule: number, { services }: RulesetSize): number =>
  (target + 1 + rule * STRIDE) % services

function textOf(namespace: number, size: RulesetSize): string {
  const lines = [`namespace: ${namespaceOf(namespace, size)}`, 'services:']
  for (let service = namespace; service < size.services; service += size.namespaces) {
    const name = shortName(service)
    lines.push(
      `  ${name}:`,
      `    audience: https://${name}.${namespaceOf(service, size)}.example`,
      `    scopes: [${name}:read, ${name}:write, ${name}:admin]`,
      '    claims: [email, risk]',
      '    token: {lifetime: 5m}',
      '    calls:',
    )
    for (let rule = 0; rule < size.rulesPerService; rule++) {
      const target = service - 1 - rule * STRIDE
      const wrapped = ((target % size.services) + size.services) % size.services
      lines.push(`      - ${serviceName(wrapped, size)}`)
    }
    lines.push('    accepts:')
    for (let rule = 0; rule < size.rulesPerService; rule++) {
      lines.push(...ruleLines(service, rule, size))
    }
  }
  return `${lines.join('\n')}\n`
}

function ruleLines(target: number, rule: number, size: RulesetSize): string[] {
  const from = callerIn(target, rule, size)
  const issuer = ISSUERS[rule % ISSUERS.length]
  const name = shortName(target)
  const own = shortName(from)
  const [any, all] =
    issuer === undefined
      ? [`${own}:read, ${own}:write`, `${own}:write, ${own}:admin`]
      : ['shop:browse, shop:buy', 'shop:buy, shop:verified']
  return [
    `      - from: ${serviceName(from, size)}`,
    ...(issuer === undefined ? [] : [`        issuer: ${issuer}`]),
    ...(rule % 10 === 9 ? ['        act: impersonate'] : []),
    '        scopes:',
    `          ${name}:read: [${any}]`,
    `          ${name}:write:`,
    `            all: [${all}]`,
  ]
}
