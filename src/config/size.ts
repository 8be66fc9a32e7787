// Owns how amounts of bytes are written. Must not know what they are for.

/** Decimal, as disks are sold; binary ones by their own names. */
const UNITS = {
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
} as const

const SIZE = /^([1-9][0-9]{0,6})(kB|MB|GB|TB|KiB|MiB|GiB|TiB)$/

/** Gives bytes for `500MB`, `20GB` or `4GiB`, or undefined. */
export function parseSize(text: string): number | undefined {
  const match = SIZE.exec(text)
  if (match === null) return undefined
  return Number(match[1]) * UNITS[match[2] as keyof typeof UNITS]
}

/** Writes bytes with one decimal in the largest decimal unit below them. */
export function formatSize(bytes: number): string {
  for (const unit of ['TB', 'GB', 'MB', 'kB'] as const) {
    if (bytes >= UNITS[unit]) return `${Math.round((bytes / UNITS[unit]) * 10) / 10}${unit}`
  }
  return `${bytes}B`
}
