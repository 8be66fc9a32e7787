// Owns the documents that are made from the schemas: `npm run docs` writes them, a test compares them.
// Must not hold facts that a schema could hold.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { variablesOf } from '../src/config/environment.ts'
import { IssuerSchema, IssuersSchema } from '../src/config/issuers-schema.ts'
import { SettingsSchema } from '../src/config/settings-schema.ts'
import { RuleFileSchema } from '../src/ruleset/schema.ts'
import { jsonSchema, referenceTable } from './reference.ts'

/** A generated file: its path in the project, and its text. */
interface GeneratedFile {
  readonly path: string
  readonly text: () => string
}

/** Every generated document. */
export const GENERATED: readonly GeneratedFile[] = [
  { path: 'docs/configuration.md', text: configurationReference },
  { path: 'docs/schema/sts.schema.json', text: () => jsonSchema(SettingsSchema, 'sts.yaml') },
  {
    path: 'docs/schema/issuers.schema.json',
    text: () => jsonSchema(IssuersSchema, 'Trusted issuers'),
  },
  { path: 'docs/schema/rules.schema.json', text: () => jsonSchema(RuleFileSchema, 'A rule file') },
]

function configurationReference(): string {
  const variables = [...variablesOf(SettingsSchema).keys()]
  return `# Configuration

<!-- Made by \`npm run docs\` from src/config/*-schema.ts. Edit the descriptions there. -->

Two files belong to the platform team and differ per environment: \`sts.yaml\` and the issuers file that it
names. Rules belong to application teams and are the same everywhere (docs/rules.md).

Both files are strict. An unknown key is an error with file, line, column and a suggestion; all problems are
told at once; \`mesh-sts rules check\` tells them before \`mesh-sts serve\` does. Keys that decide about security
have no default. Anchors, aliases, tags and duplicate keys are errors.

- **duration**: a number and one of \`ms\`, \`s\`, \`m\`, \`h\`, \`d\`, such as \`5m\`.
- **size**: a number and one of \`kB\`, \`MB\`, \`GB\`, \`TB\`, \`KiB\`, \`MiB\`, \`GiB\`, \`TiB\`, such as \`20GB\`.
- **address**: an IP address and a port, such as \`127.0.0.1:8080\` or \`[::1]:8080\`.
- **path**: relative paths are taken from the folder of the file that names them.

Editors complete and check the files with a first line such as
\`# yaml-language-server: $schema=docs/schema/sts.schema.json\`.

## sts.yaml

${referenceTable(SettingsSchema)}
Relaxations make the service weaker in one known way each; those that are on are logged at start.

## The issuers file

A mapping from names to issuers. The names \`self\` (tokens of this service) and \`workload\` are built in. An
empty mapping (\`{}\`) trusts nobody.

${referenceTable(IssuerSchema, '<name>')}
## Environment variables

A variable overrides one key of \`sts.yaml\`; its value is read as YAML (\`true\`, \`5m\`, \`[ES256, RS256]\`), its
relative paths are taken from the folder of \`sts.yaml\`. A variable that begins with \`STS_\` and is not in this
list is an error. Those that Kubernetes sets for a Service named \`sts…\` (\`STS_SERVICE_HOST\`, \`STS_PORT\` …) are
ignored; \`enableServiceLinks: false\` in the pod keeps them away.

\`STS_CONFIG\` is the path of \`sts.yaml\` for commands without \`--config\`.

${variables.map((variable) => `- \`${variable}\``).join('\n')}
`
}

function writeAll(): void {
  for (const { path, text } of GENERATED) {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text())
  }
}

if (import.meta.url === pathToFileURL(resolve(process.argv[1] ?? '')).href) writeAll()
