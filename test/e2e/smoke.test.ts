import { test } from 'node:test'
import {

  byAccountToken,
  byCertificate,
  byPrivateKey,
  bySvid,
  granted,
  refused,
} from './exchange-request.ts'
import { sharedFullDeployment } from './full-deployment.ts'

const full = sharedFullDeployment()
test('all', async () => {
  const g = await granted(full())
  console.log(g.claims, g.header)
  await granted(full(), bySvid())
  await granted(full(), byAccountToken())
  await granted(full(), byCertificate(full()))
  console.log((await granted(full(), byPrivateKey())).claims)
  await refused(full(), { form: { subject_token: undefined } }, 'subject_token_missing')
  await refused(full(), { form: { scope: ['a', 'b'] } }, 'request_parameter_repeated')
})
