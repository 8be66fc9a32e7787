// Owns the documents that are made from the schemas: `npm run docs` writes them, a test compares them.
// Must not hold facts that a schema could hold.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { variablesOf } from '../src/config/environment.ts'
import { IssuerSchema, IssuersSchema } from '../src/config/issuers-schema.ts'
import { SettingsSchema } from '../src/config/settings-schema.ts'
import { TestFileSchema } from '../src/ruleset/rehearse/test-schema.ts'
import { RuleFileSchema } from '../src/ruleset/schema.ts'
import { CONFORMANCE } from './conformance-table.ts'
import { jsonSchema, referenceTable } from './reference.ts'
import { RULES_GRAPH } from './rules-graph-page.ts'
import { SECURITY } from './security-page.ts'

/** A generated file: its path in the project, and its text. */
interface GeneratedFile {
  readonly path: string
  readonly text: () => string | Promise<string>
}

/** Every generated document. */
export const GENERATED: readonly GeneratedFile[] = [
  { path: 'docs/configuration.md', text: configurationReference },
  { path: 'docs/rules.md', text: rulesReference },
  CONFORMANCE,
  SECURITY,
  ...RULES_GRAPH,
  { path: 'docs/schema/sts.schema.json', text: () => jsonSchema(SettingsSchema, 'sts.yaml') },
  {
    path: 'docs/schema/issuers.schema.json',
    text: () => jsonSchema(IssuersSchema, 'Trusted issuers'),
  },
  { path: 'docs/schema/rules.schema.json', text: () => jsonSchema(RuleFileSchema, 'A rule file') },
  {
    path: 'docs/schema/rules-test.schema.json',
    text: () => jsonSchema(TestFileSchema, 'A test file of rules'),
  },
]

function configurationReference(): string {
  const variables = [...variablesOf(SettingsSchema).keys()]
  return `# Configuration

<!-- Made by \`npm run docs\` from src/config/*-schema.ts. Edit the descriptions there. -->

Two files belong to the platform team and differ per environment: \`sts.yaml\` and the issuers file that it
names. Rules belong to application teams and are the same everywhere (docs/rules.md).

Both files are strict. An unknown key is an error with file, line, column and a suggestion; all problems are
told at once; \`mesh-sts rules check\` tells them before \`mesh-sts serve\` does, with \`--files\` also what is wrong with
key files, key sets and certificates. Keys that decide about security have no default. Anchors, aliases, tags and duplicate keys are errors.

- **duration**: a number and one of \`ms\`, \`s\`, \`m\`, \`h\`, \`d\`, such as \`5m\`.
- **size**: a number and one of \`kB\`, \`MB\`, \`GB\`, \`TB\`, \`KiB\`, \`MiB\`, \`GiB\`, \`TiB\`, such as \`20GB\`.
- **address**: an IP address and a port, such as \`127.0.0.1:8080\` or \`[::1]:8080\`.
- **path**: relative paths are taken from the folder of the file that names them.

Editors complete and check the files with a first line such as
\`# yaml-language-server: $schema=docs/schema/sts.schema.json\`.

## sts.yaml

${referenceTable(SettingsSchema)}
Relaxations make the service weaker in one known way each; those that are on are logged and told on
standard error at start, and are series of the metric \`mesh_sts_relaxation\`.

## The issuers file

A mapping from names to issuers. An empty mapping (\`{}\`) trusts nobody. Two names are built in:

- \`self\`: tokens of this service; the name and our issuer URL are reserved.
- \`workload\`: a workload's own token as subject token, for jobs without a user. There is nothing to configure but what
  proves callers: JWT-SVIDs of the trust domains in \`client_auth.jwt_svid\`, and service-account tokens of the cluster in
  \`client_auth.kubernetes\`. It brings the \`grants\` of its service, to that workload alone (docs/security.md). The name,
  the cluster's issuer and the \`subject_prefix\` \`spiffe\` are reserved.

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

function rulesReference(): string {
  const example = readFileSync('docs/rules-example.yaml', 'utf8')
  return `# Rules

<!-- Made by \`npm run docs\` from src/ruleset/schema.ts and docs/rules-example.yaml. -->

The call graph as data: services are nodes, rules are edges. A rule stands under its target, so the team that owns
a scope also owns who may come by it and on what grounds. Files are merged; the order of files and rules never
matters. Nothing is allowed without a rule, and a deny beats every rule.

\`\`\`yaml
${example}\`\`\`

## How a request is decided

1. All \`audience\` and \`resource\` parameters must mean one service: an audience is a service's \`audience\`, its
   full name, or its name within the caller's namespace; a resource is its audience URI.
2. The caller's \`calls\` must list the target, and the target's \`accepts\` must have a rule for the caller and for
   the issuer of the subject token. Both sides consent.
3. A deny of the target that covers caller and issuer, and whose \`when\` is true or in error, ends it.
4. An actor token must come from an issuer that \`actors\` lists; \`may_act\` in the subject token must name who acts;
   \`impersonate\` is refused for a subject that carries \`act\` or \`may_act\`.
5. The rule's \`when\` must be true; false or in error, it denies.
6. Each scope that is asked must be justified by the subject token's scopes, and its \`when\` be true. Asked for
   nothing, the caller gets all that is justified. What is not justified is never dropped in silence: the answer is
   \`invalid_scope\`.
7. Computed members of \`ctx\` must not be in error.

Whatever the rules say, a token never carries a scope without justification, never lives longer than the tokens that
were handed in, and never loses an \`act\` (docs/security.md). Conditions are CEL: [conditions.md](conditions.md) says
what they may read and call. There are no regular expressions anywhere.

## Three ways to share tokens

They are chosen edge by edge and go together.

- **On demand**, the default: the caller exchanges the token that it was called with when it needs the next one.
- **\`embed: [payment]\`** in a rule: where the chain is known beforehand, the token for the target carries the tokens
  for its next hops in the claim \`embedded: {payment: "<jwt>"}\`, several levels deep. Each of them is decided by its
  own rule, as if the target had asked with the parent token, lives no longer than the parent, and has an audit event
  of its own (\`parent\` names the other). One that is denied is left out, unless \`{to: payment, required: true}\`.
  Whoever holds the parent can read and send what is inside: so a service has to say \`embeddable: true\`, the hop
  between needs exactly one identity, and \`rules prove\` counts an embedded token as held by every holder on the way.
  At most 4 levels and 16 tokens. Istio's \`outputClaimToHeaders\` (claim \`embedded.payment\`) hands such a token to
  the application without code.
- **\`forward: true\`** in a rule: the subject token is already right for the target, and travels on unchanged. Its
  audience must be the target's or one of the target's \`also_audiences\`. All that is in it counts as obtained and seen
  by the target, which then has to trust that issuer.

## Jobs without a user

\`grants\` is what a workload brings as itself. In an exchange it hands in its own JWT-SVID or projected service-account
token as \`subject_token\` (type \`urn:ietf:params:oauth:token-type:jwt\`), and rules with \`issuer: workload\` apply.
The token must be the caller's own.

## Claims

A target sees the subject claims that \`claims\` lists, as they are, where every hop before it lists them too.
Registered names and our own cannot be listed. \`ctx\` holds claims under names of the target's own:
\`{claim: locale}\` renames, \`{value: web}\` is a constant, \`{computed: <CEL>}\` is computed. No condition and no rule
reads \`ctx\`: there is no authority in it, and the next hop does not inherit it.

## Trying a change out

\`mode: audit\` beside a \`when\`, or on a deny, decides as if it were absent; what it would have denied is counted
(\`mesh_sts_would_deny_total\`) and recorded (\`would_deny\` in the audit).

## Load errors

\`mesh-sts rules check\` tells all of them at once, with file, line and column. Among them: names that do not exist; two
rules of a target that could cover the same caller and issuer; an identity of two services; audiences that Envoy takes
for one (it cuts \`http://\`, \`https://\` and a trailing \`/\`); names that look alike; a justification that our own
tokens for the caller cannot bring; conditions that do not parse or have the wrong type; circles of embedding.
[rules-check.md](rules-check.md) has the command, [findings](findings/README.md) a page for each of them, with a wrong and a
right example.

## Reference

${referenceTable(RuleFileSchema)}`
}

async function writeAll(): Promise<void> {
  for (const { path, text } of GENERATED) {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, await text())
  }
}

if (import.meta.url === pathToFileURL(resolve(process.argv[1] ?? '')).href) await writeAll()
