// Pages that show commands: what they print is what the commands print, on the shipped rules.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { commandPages } from '../../scripts/command-pages.ts'

test('each page shows what its commands print', async (t) => {
  const pages = await commandPages()
  assert.ok(pages.length >= 2)
  for (const { path, text } of pages) {
    await t.test(path, () => {
      assert.ok((text.match(/^```sh example$/gm)?.length ?? 0) >= 2)
      assert.doesNotMatch(text, /^```text prints(?: \d+)?\n```$/m)
      assert.equal(readFileSync(path, 'utf8'), text, 'run npm run docs')
    })
  }
})
