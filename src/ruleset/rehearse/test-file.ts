// Owns the way from the text of a test file to tests, with every fault of it at its place.
// Must not read files or run tests.
import { nearest, type Problem, pathText } from '../../config/problem.ts'
import { parseYaml, type YamlDocument } from '../../config/yaml.ts'
import { problemsOfZod, safeParse } from '../../config/zod-problems.ts'
import { SELF, WORKLOAD } from '../../subjects/subject.ts'
import { fullName } from '../names.ts'
import type { Ruleset } from '../ruleset.ts'
import type { Surroundings } from './surroundings.ts'
import {
  type ActorEntry,
  type ExpectEntry,
  type JourneyEntry,
  type SubjectEntry,
  type TestEntry,
  type TestFile,
  TestFileSchema,
} from './test-schema.ts'

/** A test file that is in order. */
export interface TestSet extends TestFile {
  readonly document: YamlDocument
}

/** What names in test files must be among. */
export interface TestWorld {
  readonly ruleset: Ruleset
  readonly surroundings: Surroundings
}

/** Reads one test file. Gives the tests only where nothing is wrong with any of them. */
export function readTestFile(
  { file, text }: { readonly file: string; readonly text: string },
  world: TestWorld,
): { readonly set: TestSet | undefined; readonly problems: readonly Problem[] } {
  const yaml = parseYaml(text, file)
  if (!yaml.ok) return { set: undefined, problems: yaml.problems }
  const { document } = yaml
  const parsed = safeParse(TestFileSchema, document.value)
  if (!parsed.success) {
    return { set: undefined, problems: problemsOfZod(document, parsed.error, TestFileSchema) }
  }
  const problems: Problem[] = []
  checkFile(parsed.data, {
    ...world,
    namespace: parsed.data.namespace,
    report: reporter(problems, document),
  })
  return { set: problems.length > 0 ? undefined : { ...parsed.data, document }, problems }
}

type Path = readonly (string | number)[]
type Report = (
  path: Path,
  message: string,
  meant?: readonly [written: string, known: Iterable<string>],
) => void

/** Makes what tells of a fault at a path of the document. */
export function reporter(problems: Problem[], document: YamlDocument): Report {
  return (path, message, meant) => {
    const suggestion = meant && nearest(...meant)
    problems.push({
      file: document.file,
      ...document.positionOf(path),
      path: pathText(path),
      message,
      ...(suggestion === undefined ? {} : { suggestion }),
      severity: 'error',
    })
  }
}

/** What a check of names is made with. */
export interface Check extends TestWorld {
  readonly namespace: string
  readonly report: Report
}

function checkFile(file: TestFile, check: Check): void {
  const { ruleset, report } = check
  const namespaces = new Set([...ruleset.services.values()].map(({ namespace }) => namespace))
  if (!namespaces.has(file.namespace)) {
    const message = `no rule file has the namespace ${file.namespace}`
    report(['namespace'], message, [file.namespace, namespaces])
  }
  const names = new Set<string>()
  for (const list of ['tests', 'journeys'] as const) {
    for (const [at, { name }] of (file[list] ?? []).entries()) {
      if (names.has(name)) report([list, at, 'name'], 'another test has this name')
      names.add(name)
    }
  }
  for (const [at, test] of (file.tests ?? []).entries()) checkRequest(test, ['tests', at], check)
  for (const [at, journey] of (file.journeys ?? []).entries()) {
    checkJourney(journey, ['journeys', at], check)
  }
}

/** Faults of a written request beyond its shape. */
export function checkRequest(
  test: Pick<TestEntry, 'caller' | 'subject' | 'actor'>,
  path: Path,
  check: Check,
): void {
  checkScenario(test, path, check)
  checkToken(test.subject, [...path, 'subject'], check)
  checkGrants(test, path, check)
}

function checkJourney({ subject, hops }: JourneyEntry, path: Path, check: Check): void {
  checkToken(subject, [...path, 'subject'], check)
  for (const [at, hop] of hops.entries()) {
    const hopPath = [...path, 'hops', at]
    checkScenario(hop, hopPath, check)
    if (at === 0 && hop.uses !== undefined) {
      check.report([...hopPath, 'uses'], 'the first hop hands in the subject of the journey')
    }
    if (at < hops.length - 1 && isDenied(hop.expect)) {
      check.report([...hopPath, 'expect'], 'after a denial there is no token for the next hop')
    }
  }
  const [first] = hops
  if (first !== undefined) checkGrants({ caller: first.caller, subject }, path, check)
}

const isDenied = ({ deny }: ExpectEntry): boolean => deny !== undefined

function checkScenario(
  { caller, actor }: { readonly caller: string; readonly actor?: ActorEntry | undefined },
  path: Path,
  check: Check,
): void {
  checkService(caller, [...path, 'caller'], check)
  if (actor !== undefined) checkIssuer(actor.issuer, [...path, 'actor', 'issuer'], check)
}

function checkService(text: string, path: Path, { ruleset, namespace, report }: Check): void {
  if (text.startsWith('spiffe://')) return
  const name = fullName(text, namespace)
  const service = ruleset.services.get(name)
  if (service === undefined) {
    report(path, `no service ${name}`, [name, ruleset.services.keys()])
  } else if (service.external) {
    report(path, `${name} is external: it calls nobody`)
  }
}

function checkIssuer(issuer: string, path: Path, { surroundings, report }: Check): void {
  if (issuer === SELF || issuer === WORKLOAD || surroundings.issuers.has(issuer)) return
  const known = [SELF, WORKLOAD, ...surroundings.issuers.keys()]
  report(path, `no issuer ${issuer} in the issuers file`, [issuer, known])
}

/** Claims that are keys of the subject: there they are read as the verification reads them. */
const OWN_KEYS = ['iss', 'sub', 'aud', 'exp', 'act', 'may_act', 'chain'] as const

function checkToken(subject: SubjectEntry, path: Path, check: Check): void {
  const { report } = check
  checkIssuer(subject.issuer, [...path, 'issuer'], check)
  for (const name of OWN_KEYS) {
    if (subject.claims !== undefined && Object.hasOwn(subject.claims, name)) {
      const where = name === 'iss' ? '`issuer` says it' : `write \`${name}\` beside \`claims\``
      report([...path, 'claims', name], where)
    }
  }
  if (subject.chain !== undefined && subject.issuer !== SELF) {
    report([...path, 'chain'], 'only tokens that this service issued have a chain')
  }
  if (subject.issuer !== WORKLOAD) return
  for (const key of ['act', 'may_act'] as const) {
    if (subject[key] !== undefined) report([...path, key], `a workload's own token has no ${key}`)
  }
}

/** A workload brings what it is granted, and nothing else. */
function checkGrants(
  { caller, subject }: { readonly caller: string; readonly subject: SubjectEntry },
  path: Path,
  { ruleset, namespace, report }: Check,
): void {
  const service = ruleset.services.get(fullName(caller, namespace))
  if (subject.issuer !== WORKLOAD || subject.scope === undefined || service === undefined) return
  for (const scope of subject.scope.split(' ')) {
    if (scope === '' || service.grants.has(scope)) continue
    const message = `${service.name} is not granted ${scope}`
    report([...path, 'subject', 'scope'], message, [scope, service.grants])
  }
}
