// Owns the container's probe: asks the admin listener on loopback, exits 0 when it answers 2xx.
//   node deploy/health.mjs livez|readyz [port]
const [path = 'livez', port = '8082'] = process.argv.slice(2)
const TIMEOUT_MS = 4000

try {
  const answer = await fetch(`http://127.0.0.1:${port}/${path}`, {
    signal: AbortSignal.timeout(TIMEOUT_MS),
  })
  process.exitCode = answer.ok ? 0 : 1
} catch {
  process.exitCode = 1
}
