// Owns what must hold for tokens that travel inside others, seen over all services at once.
// Must not mint; tokens/tailor.ts decides each embedded token when it is asked for.
import { nearest } from '../../config/problem.ts'
import { SELF } from '../../subjects/subject.ts'
import { ruleFor } from '../rule-for.ts'
import type { Embed, Rule, Service } from '../ruleset.ts'
import type { EmbedEntry } from '../schema.ts'
import type { Compilation, Draft, Path } from './compilation.ts'

/** A token within a token within …; each level makes the outermost larger by a third. */
export const MAX_EMBED_DEPTH = 4
/** Tokens that one exchange may mint: each is signed and has a row in the audit. */
export const MAX_EMBEDDED_TOKENS = 16

type Services = ReadonlyMap<string, Service>

/** Checks each `embed`: its target, the hop between, and that the whole tree of tokens is finite and small. */
export function checkEmbedding(services: Services, compilation: Compilation): void {
  const trees = new Map<Rule, Tree>()
  for (const draft of compilation.drafts.values()) {
    const service = services.get(draft.name)
    if (service === undefined) continue
    for (const [index, entry] of (draft.entry.accepts ?? []).entries()) {
      if (entry.embed === undefined) continue
      const rule = service.rules.get(ruleKey(draft, [entry.from].flat()[0], entry.issuer))
      if (rule === undefined) continue
      const path: Path = ['accepts', index, 'embed']
      checkHop(draft, path, service, compilation)
      checkTargets(draft, path, { service, rule, written: entry.embed }, services, compilation)
      checkTree(draft, path, treeOf(service, rule, services, trees, []), compilation)
    }
  }
}

function checkTargets(
  draft: Draft,
  path: Path,
  edge: {
    readonly service: Service
    readonly rule: Rule
    readonly written: readonly EmbedEntry[]
  },
  services: Services,
  compilation: Compilation,
): void {
  const seen = new Set<string>()
  for (const [at, written] of edge.written.entries()) {
    const to = typeof written === 'string' ? written : written.to
    const embed = edge.rule.embed.find(({ to: full, member }) => full === to || member === to)
    if (embed === undefined) continue
    checkTarget(draft, [...path, at], { ...edge, embed }, services, compilation)
    if (seen.has(embed.to)) {
      compilation.report(draft, [...path, at], 'item-repeated', `${to} stands twice in embed`)
    }
    seen.add(embed.to)
  }
}

function ruleKey(draft: Draft, from: string | undefined, issuer: string | undefined): string {
  const full = from?.includes('/') === true ? from : `${draft.namespace}/${from}`
  return `${full}|${issuer ?? SELF}`
}

/** The child is minted as if this service had asked, so it must be certain who it is. */
function checkHop(draft: Draft, path: Path, service: Service, { report }: Compilation): void {
  const [identity, ...others] = service.identities
  if (identity !== undefined && others.length === 0 && !identity.includes('*')) return
  const message = `${service.name} would act for the embedded tokens: it needs exactly one identity, without *`
  report(draft, path, 'embed-identity', message)
}

function checkTarget(
  draft: Draft,
  path: Path,
  edge: { readonly service: Service; readonly rule: Rule; readonly embed: Embed },
  services: Services,
  { report }: Compilation,
): void {
  const { service, rule, embed } = edge
  const target = services.get(embed.to)
  if (target === undefined) {
    report(draft, path, 'service-unknown', `no service ${embed.to}`, {
      suggest: () => nearest(embed.to, services.keys()),
    })
    return
  }
  if (!target.embeddable) {
    const message = `${target.name} does not say \`embeddable: true\``
    report(draft, path, 'embed-not-embeddable', message)
  }
  if (!service.calls.has(target.name)) {
    const message = `${service.name} does not list ${target.name} in calls`
    report(draft, path, 'embed-not-called', message)
  }
  const child = ruleFor(target, service, SELF)
  if (child === undefined) {
    const message = `${target.name} has no rule for ${service.name} with issuer self`
    report(draft, path, 'embed-without-rule', message)
  } else if (child.forward) {
    report(draft, path, 'embed-forward', `${child.id} forwards: there is nothing to embed`)
  } else if (child.act === 'impersonate' && rule.act === 'delegate') {
    const message = `${child.id} impersonates, and is refused for a token that carries act, as this one does`
    report(draft, path, 'embed-impersonate', message)
  }
}

/** How much would be minted along with a rule's token. */
interface Tree {
  readonly depth: number
  readonly tokens: number
  /** Names of services from the first that comes again to itself. */
  readonly cycle: readonly string[] | undefined
}

const LEAF: Tree = { depth: 0, tokens: 0, cycle: undefined }
/** Rules on one way; longer ways are as wrong, and a file of them would cost the stack. */
const MAX_WAY = 64
const ENDLESS: Tree = { depth: MAX_WAY, tokens: 0, cycle: undefined }

function treeOf(
  service: Service,
  rule: Rule,
  services: Services,
  trees: Map<Rule, Tree>,
  way: readonly Rule[],
): Tree {
  const known = trees.get(rule)
  if (known !== undefined) return known
  if (way.includes(rule)) {
    const names = [...way.slice(way.indexOf(rule)), rule].map(({ id }) => id.split(' ')[0] ?? id)
    return { ...LEAF, cycle: names }
  }
  if (way.length >= MAX_WAY) return ENDLESS
  let tree = LEAF
  for (const { to } of rule.embed) {
    const target = services.get(to)
    const child = target && ruleFor(target, service, SELF)
    if (target === undefined || child === undefined) continue
    const below = treeOf(target, child, services, trees, [...way, rule])
    tree = {
      depth: Math.min(Math.max(tree.depth, below.depth + 1), MAX_WAY),
      tokens: Math.min(tree.tokens + below.tokens + 1, Number.MAX_SAFE_INTEGER),
      cycle: tree.cycle ?? below.cycle,
    }
  }
  trees.set(rule, tree)
  return tree
}

function checkTree(draft: Draft, path: Path, tree: Tree, { report }: Compilation): void {
  if (tree.cycle !== undefined) {
    report(draft, path, 'embed-cycle', `embedding goes in a circle: ${tree.cycle.join(' → ')}`)
  } else if (tree.depth > MAX_EMBED_DEPTH) {
    const message = `tokens within tokens ${tree.depth} levels deep; at most ${MAX_EMBED_DEPTH}`
    report(draft, path, 'embed-too-deep', message)
  } else if (tree.tokens > MAX_EMBEDDED_TOKENS) {
    const message = `${tree.tokens} tokens would be minted along; at most ${MAX_EMBEDDED_TOKENS}`
    report(draft, path, 'embed-too-many', message)
  }
}
