import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mayPresent } from '../../src/subjects/presenter.ts'
import { ownIssuer, type TrustedIssuer } from '../../src/subjects/trusted-issuer.ts'

const NO_KEYS = {
  current: () => ({ version: '', keys: [] }),
  refreshed: async () => ({ version: '', keys: [] }),
}
const self = ownIssuer('https://sts.boutique.example', NO_KEYS, ['ES256'])
const corporate: TrustedIssuer = {
  ...self,
  name: 'corporate',
  presentedBy: new Map([
    ['https://api.shop.example', new Set(['boutique/frontend'])],
    ['https://admin.shop.example', new Set(['boutique/backoffice'])],
    ['https://closed.shop.example', new Set<string>()],
  ]),
}
const frontend = { name: 'boutique/frontend', audience: 'https://frontend.boutique.example' }

const may = (issuer: TrustedIssuer, audiences: string[], presenter = frontend) =>
  mayPresent(issuer, audiences, presenter)

test('field-6 #6 a token of another issuer is presented by the services listed for its audience', () => {
  assert.ok(may(corporate, ['https://api.shop.example']))
  assert.ok(may(corporate, ['https://other.example', 'https://api.shop.example']))
  assert.equal(may(corporate, ['https://admin.shop.example']), false)
  assert.equal(may(corporate, ['https://api.shop.example/']), false)
  assert.equal(may(corporate, ['https://API.shop.example']), false)
  assert.equal(may(corporate, [frontend.audience]), false)
  assert.equal(may(corporate, []), false)
})

test('P4 an empty list means nobody', () => {
  assert.equal(may(corporate, ['https://closed.shop.example']), false)
  assert.equal(may({ ...corporate, presentedBy: new Map() }, ['https://api.shop.example']), false)
})

test('field-6 #6 our own token is presented by the service it is for', () => {
  assert.ok(may(self, [frontend.audience]))
  assert.equal(may(self, ['https://checkout.boutique.example']), false)
  assert.equal(may(self, [frontend.name]), false)
  assert.equal(may(self, ['http://frontend.boutique.example']), false)
})
