// Owns what `mesh-sts dev` says once it runs: what is where, what is relaxed, and what to paste.
// Must stay pure, and fit 100 columns and 40 lines; test/dev/dev.test.ts runs every command in it.
import type { DevelopmentAddresses } from './profile.ts'

export interface BannerOptions {
  readonly addresses: DevelopmentAddresses
  /** Names of the relaxations that are on. */
  readonly relaxations: readonly string[]
  /** The folder as it is typed from where the reader stands. */
  readonly folder: string
  /** The folder of the rules, likewise. */
  readonly rules: string
  /** What starts a command there: `npm run -s mesh-sts --` in a clone. */
  readonly command: string
}

/** The folder that commands look for by themselves. */
export const DEFAULT_FOLDER = '.dev'

/** How a command is typed: by the package's script in a clone, by its name where it is installed. */
export const commandPrefix = (where: {
  readonly cwd: string
  readonly packageFolder: string
}): string => (where.cwd === where.packageFolder ? 'npm run -s mesh-sts --' : 'mesh-sts')

/** A `curl` that exchanges a token. `subject` is shell text that gives the subject token. */
export function exchangeCurl(
  { tokenEndpoint, identity }: DevelopmentAddresses,
  caller: string,
  subject: string,
  request: string,
): string {
  return [
    `curl -s ${tokenEndpoint} \\`,
    '  -d grant_type=urn:ietf:params:oauth:grant-type:token-exchange \\',
    '  -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-spiffe \\',
    `  -d client_assertion=$(curl -s ${identity}/svid/${caller}) \\`,
    '  -d subject_token_type=urn:ietf:params:oauth:token-type:access_token \\',
    `  -d subject_token=${subject} \\`,
    `  ${request}`,
  ].join('\n')
}

/** The longest of the addresses, with a port of five digits. */
const PLACE_WIDTH = 'http://127.0.0.1:65535/svid/boutique/frontend'.length

/** The banner. What is to be pasted stands at the beginning of its lines. */
export function banner(options: BannerOptions): string {
  const { addresses, relaxations, command } = options
  const { issuer, tokenEndpoint, admin, identity } = addresses
  const isDefault = options.folder === DEFAULT_FOLDER
  const dev = isDefault ? '--dev' : `--dev --folder ${options.folder}`
  const first = exchangeCurl(
    addresses,
    'boutique/frontend',
    `$(curl -s ${identity}/user/alice)`,
    '-d audience=checkout -d scope=checkout:place',
  )
  const second = exchangeCurl(addresses, 'boutique/checkout', '$TOKEN', '-d audience=payment')
  const places = [
    [tokenEndpoint, 'tokens; callers prove themselves by JWT-SVID'],
    [`${issuer}/.well-known/jwks.json`, 'keys; metadata beside them'],
    [`${admin}/metrics`, 'metrics; health beside them'],
    [`${identity}/user/alice`, "a user's token: alice, bob, mallory, erin"],
    [`${identity}/svid/boutique/frontend`, 'a JWT-SVID of any workload'],
  ].map(([url = '', what = '']) => `  ${url.padEnd(PLACE_WIDTH)}  ${what}`)
  return `
Mesh STS runs. Everything is real; its keys and credentials were made here, in ${options.folder}
${places.join('\n')}
  relaxed: ${relaxations.join(', ')}

1  frontend has a token of alice and needs one for checkout. Paste this in another terminal:
ANSWER=$(${first}); echo "$ANSWER"

2  The next hop: checkout hands that token in and gets one for payment.
TOKEN=$(echo "$ANSWER" | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')
${second}; echo

3  What became of the token, claim by claim and why; and a caller that is refused:
${command} exchange ${dev} --user alice --as frontend --for checkout
${command} exchange ${dev} --user alice --as frontend --for payment

4  What was recorded:
${command} audit query --config ${options.folder}/sts.yaml

Ctrl-C stops it. Rules: ${options.rules}/*.yaml. Exchanges from here on:
`
}
