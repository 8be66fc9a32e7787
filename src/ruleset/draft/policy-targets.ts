// Owns whom an AuthorizationPolicy protects: services that it names, and in words what is no single service.
// Must not know sources or rules.
import { clip } from '../../config/problem.ts'
import { isName, isServiceName, type SeenService } from './observed.ts'
import type { PolicySpec } from './policy-schema.ts'

/** Whom a policy protects: services, and in words what is no single service. */
export interface Targets {
  readonly services: readonly SeenService[]
  readonly unclear: readonly string[]
}

/** A policy here is for the workloads of all namespaces; the default of Istio's meshConfig.rootNamespace. */
export const ROOT_NAMESPACE = 'istio-system'
/** Labels that hold the name of an application. */
const NAME_LABELS: readonly string[] = ['app', 'app.kubernetes.io/name']
const MAX_NAME_SHOWN = 120

/** In words. */
export const describeTargets = ({ services, unclear }: Targets): string =>
  [...services.map(({ name }) => name), ...unclear].join(', ')

/** Services by Service objects or by the one label that holds a name; the rest in words. */
export function targetsOf(
  namespace: string,
  { targetRef, targetRefs, selector }: PolicySpec,
): Targets {
  const references = [...(targetRefs ?? []), ...(targetRef ? [targetRef] : [])]
  if (references.length === 0) return targetsBySelector(namespace, selector?.matchLabels ?? {})
  const services: SeenService[] = []
  const unclear: string[] = []
  for (const { group, kind, name, namespace: other } of references) {
    const full = `${namespace}/${name}`
    const isService = kind === 'Service' && ['', 'core'].includes(group ?? '')
    if (isService && (other ?? namespace) === namespace && isServiceName(full)) {
      services.push({ name: full, by: 'label', identity: undefined })
    } else unclear.push(`what ${clip(`${kind} ${name}`, MAX_NAME_SHOWN)} stands for`)
  }
  return { services, unclear }
}

function targetsBySelector(namespace: string, labels: Readonly<Record<string, string>>): Targets {
  const entries = Object.entries(labels)
  const isRoot = namespace === ROOT_NAMESPACE
  if (entries.length === 0) {
    const what = isRoot ? 'every workload of the mesh' : `every workload of namespace ${namespace}`
    return { services: [], unclear: [what] }
  }
  const shown = entries.map(([key, value]) => clip(`${key}=${value}`, MAX_NAME_SHOWN)).join(' ')
  const where = isRoot ? 'any namespace' : namespace
  const names = new Set(entries.map(([, value]) => value))
  const [short = ''] = names
  const isOneName = names.size === 1 && entries.every(([key]) => NAME_LABELS.includes(key))
  if (isRoot || !isOneName || !isName(short)) {
    return { services: [], unclear: [`workloads of ${where} with ${shown}`] }
  }
  const name = `${namespace}/${short}`
  return { services: [{ name, by: 'label', identity: undefined }], unclear: [] }
}
