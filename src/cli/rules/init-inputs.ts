// Owns what `rules init` is given: its options, the deployment that it drafts for, and what there is to see.
// Must not draft or write anything.
import { resolve } from 'node:path'
import { queryAudit } from '../../audit/query.ts'
import { serviceAccountId } from '../../clients/spiffe-id.ts'
import { parseDuration } from '../../config/duration.ts'
import type { Problem } from '../../config/problem.ts'
import type { Settings } from '../../config/settings.ts'
import { type DeniedObservations, observeDenials } from '../../ruleset/draft/denials.ts'
import { readEdge } from '../../ruleset/draft/edges.ts'
import { isName, type Observations, together } from '../../ruleset/draft/observed.ts'
import { observePolicies, type PolicyObservations } from '../../ruleset/draft/policies.ts'
import { loadRuleset, type RuleSource, readRuleSources } from '../../ruleset/load.ts'
import type { Ruleset } from '../../ruleset/ruleset.ts'
import type { Database } from '../../store/database.ts'
import { type Arguments, CONFIG_OPTION, JSON_OPTION, UsageError } from '../command.ts'
import { ruleContext } from '../deployment.ts'
import type { CliIo } from '../io.ts'
import { readManifests } from './manifests.ts'

/** The options of the command. */
export const OPTIONS = {
  'from-policies': {
    value: '<file or folder>',
    help: "Istio's AuthorizationPolicies: manifests, or what kubectl gave.",
  },
  'from-audit': { help: 'Recorded denials that a rule is missing for; needs a configuration.' },
  since: { value: '<duration>', help: 'With --from-audit: no longer ago than 7d.' },
  namespace: { value: '<name>', help: 'Of names and manifests that come without one.' },
  config: {
    ...CONFIG_OPTION,
    help: 'Draft for this deployment: what its rules have already is not drafted again.',
  },
  out: { value: '<file or folder/>', help: 'Write a new file, or one for each namespace.' },
  json: JSON_OPTION,
} as const

/** Its arguments. */
export type Args = Arguments<keyof typeof OPTIONS>

/** What the arguments say. */
export interface Given {
  readonly edges: readonly Observations[]
  readonly policies: string | undefined
  /** Milliseconds since the epoch. */
  readonly since: number | undefined
  readonly namespace: string | undefined
}

/** Reads the arguments; `now` in milliseconds since the epoch. */
export function readArguments(args: Args, now: number): Given {
  const namespace = args.text('namespace')
  if (namespace !== undefined && !isName(namespace)) {
    throw new UsageError('--namespace must be lower-case letters, digits and hyphens')
  }
  const edges = args.positionals.map((text) => {
    const edge = readEdge(text, namespace)
    if (!edge.ok) throw new UsageError(edge.message)
    return edge.seen
  })
  const policies = args.text('from-policies')
  if (edges.length === 0 && policies === undefined && !args.has('from-audit')) {
    throw new UsageError('from what? Give edges, --from-policies or --from-audit')
  }
  return { edges, policies, since: sinceOf(args, now), namespace }
}

function sinceOf(args: Args, now: number): number | undefined {
  const text = args.text('since')
  if (text === undefined) return undefined
  if (!args.has('from-audit')) throw new UsageError('--since goes with --from-audit')
  const ago = parseDuration(text)
  if (ago === undefined) throw new UsageError('--since must be a duration, such as 7d')
  return now - ago
}

/** The rules that are there, and what others are compiled against. */
export interface Base {
  readonly context: Parameters<typeof loadRuleset>[1]
  readonly sources: readonly RuleSource[]
  /** Empty where there are no rules yet; undefined where they have errors. */
  readonly ruleset: Ruleset | undefined
  readonly problems: readonly Problem[]
}

const TRUST_DOMAIN = 'cluster.local'
/** Where no configuration says otherwise: Istio's default, and this service as deploy/istio has it. */
const USUAL: Base['context'] = {
  trustDomains: [TRUST_DOMAIN],
  issuers: [],
  algorithms: ['ES256'],
  selfIss: 'https://mesh-sts.invalid',
  ownIdentity: serviceAccountId(TRUST_DOMAIN, 'mesh-sts', 'mesh-sts'),
  parseDuration,
}

/** The deployment of these settings, or without any a usual one without rules. */
export function baseOf(settings: Settings | undefined): Base {
  const context = settings === undefined ? USUAL : ruleContext(settings)
  const read = readRuleSources(settings?.rules ?? [])
  const { ruleset, problems } = loadRuleset(read.sources, context)
  // Before the first rules no file of them is there: that is no fault here.
  const unread = read.sources.length === 0 ? [] : read.problems
  const all = [...unread, ...problems]
  const failed = all.some(({ severity }) => severity === 'error')
  return { context, sources: read.sources, ruleset: failed ? undefined : ruleset, problems: all }
}

/** Everything that was looked at. */
export interface Looked {
  readonly seen: Observations
  readonly policies: PolicyObservations | undefined
  readonly denials: DeniedObservations | undefined
  /** For people. */
  readonly sources: string
}

/** Looks at all that is given; gives problems where a manifest cannot be read. */
export function look(
  { edges, policies: path, since, namespace }: Given,
  { context, ruleset }: { readonly context: Base['context']; readonly ruleset: Ruleset },
  { io, db }: { readonly io: Pick<CliIo, 'cwd'>; readonly db: Database | undefined },
): Looked | { readonly problems: readonly Problem[] } {
  const manifests =
    path === undefined ? undefined : readManifests(resolve(io.cwd, path), 'AuthorizationPolicy')
  if (manifests?.ok === false) return manifests
  const { trustDomains } = context
  const policies = manifests && observePolicies(manifests.objects, { trustDomains, namespace })
  const filters = { outcome: 'denied' as const, ...(since === undefined ? {} : { since }) }
  const denials = db && observeDenials(queryAudit(db, filters), ruleset)
  const sources = [
    ...(edges.length === 0 ? [] : [amount(edges.length, 'edge')]),
    ...(policies === undefined ? [] : [amount(policies.policies, 'AuthorizationPolicy')]),
    ...(denials === undefined ? [] : [`${amount(denials.denials, 'denial')} of the audit`]),
  ]
  return {
    seen: together([...edges, ...[policies, denials].flatMap((one) => one?.seen ?? [])]),
    policies,
    denials,
    sources: sources.join(', '),
  }
}

const amount = (number: number, noun: string): string =>
  number === 1 ? `1 ${noun}` : `${number} ${noun.replace(/y$/, 'ie')}s`
