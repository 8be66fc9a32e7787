// Owns the way from sts.yaml, the environment and the issuers file to settings; all problems at once.
// Must not open the network, read the clock or look into any other file than these two.
import { dirname, resolve } from 'node:path'
import { applyEnvironment, blameVariables } from './environment.ts'
import { checkIssuers, type IssuerSettings, toIssuerSettings } from './issuers.ts'
import { IssuerSchema, IssuersSchema } from './issuers-schema.ts'
import type { Problem } from './problem.ts'
import type { Settings } from './settings.ts'
import { checkSettings } from './settings-checks.ts'
import { type SettingsEntry, SettingsSchema } from './settings-schema.ts'
import { toSettings } from './settings-values.ts'
import { memberOf, reportInto, shapeOfObject, shapeOfRecord } from './shape.ts'
import { parseYaml, type YamlDocument } from './yaml.ts'

/** What {@link loadSettings} needs from outside. */
export interface LoadOptions {
  /** Absolute path of sts.yaml. */
  readonly configFile: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Gives the text of a file; throws where it cannot be read. */
  readonly readFile: (path: string) => string
}

/** What {@link loadSettings} gives; a success may come with warnings. */
export type SettingsResult =
  | { readonly ok: true; readonly settings: Settings; readonly problems: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** Loads sts.yaml, the environment's overrides and the issuers file; all problems at once. */
export function loadSettings(options: LoadOptions): SettingsResult {
  const { configFile, env, readFile } = options
  const opened = open(configFile, readFile, 'the configuration file')
  if (!opened.ok) return opened
  const {
    document,
    overrides,
    problems: fromEnv,
  } = applyEnvironment(opened.document, SettingsSchema, env)
  const shaped = shapeOfObject(document, SettingsSchema)
  const problems = [...shaped.problems]
  checkSettings(shaped.sound, reportInto(problems, document))
  const own = [...fromEnv, ...blameVariables(problems.sort(byPlace), overrides)]

  const inConfig = (path: string) => resolve(dirname(configFile), path)
  const issuersFile =
    shaped.sound.issuers === undefined ? undefined : inConfig(shaped.sound.issuers)
  if (issuersFile === undefined) return { ok: false, problems: own }
  const issuers = loadIssuers(
    issuersFile,
    readFile,
    shaped.sound,
    memberOf(document.value, 'issuer'),
  )
  const all = [...own, ...issuers.problems]
  if (all.some(({ severity }) => severity === 'error')) return { ok: false, problems: all }
  const entry = shaped.sound as SettingsEntry
  const settings = {
    ...toSettings(entry, configFile, inConfig),
    issuersFile,
    issuers: issuers.settings,
  }
  return { ok: true, settings: freeze(settings), problems: all }
}

const byPlace = (a: Problem, b: Problem): number => a.line - b.line || a.column - b.column

type Opened =
  | { readonly ok: true; readonly document: YamlDocument }
  | { readonly ok: false; readonly problems: readonly Problem[] }

function open(file: string, readFile: LoadOptions['readFile'], what: string): Opened {
  let text: string
  try {
    text = readFile(file)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException | undefined)?.code
    const message = `${what} cannot be read${code === undefined ? '' : ` (${code})`}`
    return {
      ok: false,
      problems: [{ file, line: 0, column: 0, path: '', message, severity: 'error' }],
    }
  }
  return parseYaml(text, file)
}

function loadIssuers(
  file: string,
  readFile: LoadOptions['readFile'],
  sound: Partial<SettingsEntry>,
  ownIssuer: unknown,
): { settings: readonly IssuerSettings[]; problems: readonly Problem[] } {
  const opened = open(file, readFile, 'the issuers file')
  if (!opened.ok) return { settings: [], problems: opened.problems }
  const shaped = shapeOfRecord(opened.document, IssuersSchema, IssuerSchema)
  const problems = [...shaped.problems]
  const context = {
    ownIssuer: typeof ownIssuer === 'string' ? ownIssuer : undefined,
    clusterIssuer: sound.client_auth?.kubernetes?.issuer,
    // Where the relaxations are themselves wrong, only that is told.
    allowHttp: sound.relaxations?.allow_http_issuers !== false,
  }
  checkIssuers(shaped.sound as never, context, reportInto(problems, opened.document))
  const inFile = (path: string) => resolve(dirname(file), path)
  const settings = Object.entries(shaped.sound).map(([name, entry]) =>
    toIssuerSettings(name, entry as never, inFile),
  )
  return { settings, problems: problems.sort(byPlace) }
}

/** Freezes plain objects and lists all the way down. */
function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const child of Object.values(value)) freeze(child)
  }
  return value
}
