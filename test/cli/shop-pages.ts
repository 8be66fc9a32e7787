// Owns the deployments of docs/rules-replay.md and docs/rules-unused.md: a real server that was really asked.
// Must not assert what a page is about.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import {
  type Deployment,
  exchangeForm,
  post,
  startDeployment,
  userToken,
} from '../support/deployment.ts'
import { runCli } from './run-cli.ts'

/** The first block of a kind, such as `yaml rules`. */
export function blockOf(page: string, kind: string): string {
  const text = page.split(`\`\`\`${kind}\n`)[1]?.split('```\n')[0]
  assert.ok(text !== undefined, kind)
  return text
}

/** What a page asks of the server that runs its rules: claims of the token, and the request. */
export interface Asked {
  readonly claims: Readonly<Record<string, unknown>>
  readonly audience?: string
  readonly scope?: string
}

/** A server with the rules of a page that has answered these, and its candidate beside it. */
export async function servedPage(
  t: TestContext,
  page: string,
  requests: readonly Asked[],
): Promise<Deployment> {
  const deployment = await startDeployment(t, {
    'rules/boutique.yaml': blockOf(page, 'yaml rules'),
  })
  for (const { claims, audience = 'checkout', scope } of requests) {
    await post(
      deployment.tokenUrl,
      exchangeForm(userToken(deployment, { email_verified: undefined, ...claims }), {
        audience,
        scope,
      }),
    )
  }
  return deployment
}

/** Runs the example of a page; what is new each time reads as the page has it. */
export async function runExample(page: string, { folder }: Deployment) {
  const [program, ...args] = blockOf(page, 'sh example').trim().split(' ')
  assert.equal(program, 'mesh-sts')
  const run = await runCli(args, { cwd: folder })
  return { ...run, stdout: settled(run.stdout), expected: blockOf(page, 'text prints') }
}

const settled = (text: string): string =>
  text
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g, DECISION)
    .replace(/(^|ruleset | {2})[0-9a-f]{12}(?=$| )/gm, '$13f2a9c04d1be')
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ(?: to \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ)?/g, TIME)

const DECISION = '01a20671-fb98-7ce1-b91e-b6c0f4a7c9d2'
const TIME = '2026-11-23 03:27:43Z'

/** Reads a page. */
export const pageOf = (name: string): string => readFileSync(join('docs', name), 'utf8')

/** Writes a candidate beside the rules. */
export const writeCandidate = ({ folder }: Pick<Deployment, 'folder'>, text: string): void =>
  writeFileSync(join(folder, 'candidate.yaml'), text)
