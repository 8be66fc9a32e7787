// P4 missing means no start: every local file that a deployment names is there and usable.
import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { checkFilesOfRules, checkReferencedFiles } from '../../src/compose/referenced-files.ts'
import { loaded, writeDeployment } from '../support/deployment.ts'
import { jwksOf, makeKey } from '../support/jwt-fixtures.ts'
import { BOUTIQUE } from '../support/rules.ts'

const PARTNER = `${BOUTIQUE}
  partner:
    client_keys: {jwks_file: partner.jwks.json}
`

it('P4 a whole deployment has no problem; each missing or unusable file is one', (t) => {
  const { folder, config } = writeDeployment(t, {
    'rules/boutique.yaml': PARTNER,
    'rules/partner.jwks.json': jwksOf([makeKey('ES256', 'p')]),
  })
  const { settings, ruleset } = loaded(config)
  const told = () => checkReferencedFiles(settings, ruleset).map(({ message }) => message)
  assert.deepEqual(told(), [])

  writeFileSync(join(folder, 'corporate.jwks.json'), '{"keys":[]}')
  assert.match(told().join(), /^the key set file of issuer corporate is unusable: /)
  rmSync(join(folder, 'agents.jwks.json'))
  assert.match(told().join(), /the key set file of issuer agents cannot be read \(ENOENT\)$/)
  rmSync(join(folder, 'k1'))
  assert.match(told().join(), /^key-encryption key k1 cannot be read \(ENOENT\)/)

  assert.deepEqual(checkFilesOfRules(ruleset), [])
  rmSync(join(folder, 'rules/partner.jwks.json'))
  const [problem] = checkFilesOfRules(ruleset)
  assert.equal(
    problem?.message,
    'client_keys.jwks_file of boutique/partner cannot be read (ENOENT)',
  )
  assert.equal(told().length, 4)
})
