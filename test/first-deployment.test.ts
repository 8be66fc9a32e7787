// docs/first-deployment.md is executed: its files load, and a request such as its last one is answered.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { it } from 'node:test'
import { exchangeForm, post, startDeployment, userToken, xfcc } from './support/deployment.ts'

it('the files of docs/first-deployment.md make a deployment that exchanges tokens', async (t) => {
  const page = readFileSync('docs/first-deployment.md', 'utf8')
  const block = (name: string): string => {
    const text = new RegExp(`\`\`\`yaml ${name}\n([^]*?)\n\`\`\``).exec(page)?.[1]
    assert.ok(text, name)
    return text
  }
  const deployment = await startDeployment(t, {
    'sts.yaml': block('sts.yaml')
      .replaceAll(/(?:127\.0\.0\.1|0\.0\.0\.0):\d+/g, '127.0.0.1:0')
      .replace('k1.key', 'k1'),
    'issuers.yaml': block('issuers.yaml'),
    'rules/boutique.yaml': readFileSync('docs/rules-example.yaml', 'utf8'),
  })
  assert.ok(page.includes(xfcc('frontend').replace('0'.repeat(64), '0')))
  const form = exchangeForm(userToken(deployment, { amr: ['mfa'] }), { scope: undefined })
  const answer = await post(deployment.tokenUrl, form)
  assert.equal(answer.status, 200, JSON.stringify(answer.body))
  assert.equal(answer.body.scope, 'checkout:quote checkout:place')
})
