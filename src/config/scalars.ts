// Owns the small values that both configuration files are written in: durations, addresses, URLs, names.
// Must not know any key.
import { isIP } from 'node:net'
import { z } from 'zod'
import { parseSpiffeId, type SpiffeId } from '../clients/spiffe-id.ts'
import { formatDuration, parseDuration } from './duration.ts'
import { formatSize, parseSize } from './size.ts'

/** A schema of text that a function reads. `kind` names it in the reference, `message` is told where it cannot. */
function written<T>(kind: string, parse: (text: string) => T | undefined, message: string) {
  return z
    .string({ error: message })
    .transform((text, context): T => {
      const value = parse(text)
      if (value !== undefined) return value
      context.addIssue({ code: 'custom', message })
      return z.NEVER
    })
    .meta({ title: kind })
}

/** A duration within bounds, as milliseconds. */
export function duration(bounds: { min: number; max: number; example: string }) {
  const { min, max, example } = bounds
  const message = `must be a duration from ${formatDuration(min)} to ${formatDuration(max)}, such as ${example}`
  return written(
    'duration',
    (text) => {
      const milliseconds = parseDuration(text)
      return milliseconds !== undefined && milliseconds >= min && milliseconds <= max
        ? milliseconds
        : undefined
    },
    message,
  )
}

/** A size within bounds, as bytes. */
export function size(bounds: { min: number; max: number; example: string }) {
  const { min, max, example } = bounds
  const message = `must be a size from ${formatSize(min)} to ${formatSize(max)}, such as ${example}`
  return written(
    'size',
    (text) => {
      const bytes = parseSize(text)
      return bytes !== undefined && bytes >= min && bytes <= max ? bytes : undefined
    },
    message,
  )
}

/** Where a listener listens. */
export interface ListenAddress {
  /** An IP address; `localhost` is written as 127.0.0.1. */
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
}

const ADDRESS = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15}|localhost)):(0|[1-9][0-9]{0,4})$/

/** Parses `127.0.0.1:8080` or `[::1]:8080`. No names: what a name resolves to may change. */
export function parseAddress(text: string): ListenAddress | undefined {
  const match = ADDRESS.exec(text)
  if (match === null) return undefined
  const host = match[1] ?? (match[2] === 'localhost' ? '127.0.0.1' : match[2])
  const port = Number(match[3])
  const isAddress = host !== undefined && isIP(host) === (match[1] === undefined ? 4 : 6)
  return isAddress && port <= 65535 ? { host, port } : undefined
}

/** Whether only this machine (this pod) reaches an address. */
export function isLoopback({ host }: ListenAddress): boolean {
  return host.startsWith('127.') || /^(?:0{0,4}:){1,7}0{0,3}1$/.test(host)
}

export const address = () =>
  written(
    'address',
    parseAddress,
    'must be an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080',
  )

/** A path; relative ones are taken from the folder of the file that names them. */
export const path = () =>
  z
    .string({ error: 'must be a path' })
    .min(1, 'must be a path, not an empty text')
    .max(4096)
    .refine((text) => !text.includes('\0'), 'must be a path')
    .meta({ title: 'path' })

const URL_TEXT = /^https?:\/\/[\x21-\x7e]{1,2040}$/

/** Why a text is no URL that we take, or undefined. Kept as text: issuers are compared exactly. */
function urlFault(text: string, isIssuer: boolean): string | undefined {
  if (!URL_TEXT.test(text)) return 'must be an absolute https URL, such as https://sts.example'
  let url: URL
  try {
    url = new URL(text)
  } catch {
    return 'must be an absolute https URL, such as https://sts.example'
  }
  if (url.username !== '' || url.password !== '') return 'must hold no user name or password'
  if (text.includes('#')) return 'must hold no fragment (#…)'
  if (isIssuer && text.includes('?')) return 'must hold no query (?…) (RFC 8414 §2)'
  return undefined
}

function urlSchema(isIssuer: boolean) {
  return z
    .string({ error: 'must be a URL' })
    .superRefine((text, context) => {
      const fault = urlFault(text, isIssuer)
      if (fault !== undefined) context.addIssue({ code: 'custom', message: fault })
    })
    .meta({ title: 'URL' })
}

/** An issuer identifier (RFC 8414 §2): no query, no fragment. Whether http is allowed is checked later. */
export const issuerUrl = () => urlSchema(true)

/** A URL that we fetch from or publish. Whether http is allowed is checked later. */
export const url = () => urlSchema(false)

const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/

/** SPIFFE-ID.md §2.1. */
export const trustDomain = () =>
  z
    .string({ error: 'must be a trust domain, such as cluster.local' })
    .regex(TRUST_DOMAIN, 'must be a trust domain: lower-case letters, digits, dots, hyphens')
    .meta({ title: 'trust domain' })

export const spiffeId = () =>
  written(
    'SPIFFE ID',
    (text): SpiffeId | undefined => parseSpiffeId(text),
    'must be a SPIFFE ID, such as spiffe://cluster.local/ns/mesh-sts/sa/mesh-sts',
  )

export const ipAddress = () =>
  z
    .string({ error: 'must be an IP address, such as 127.0.0.6' })
    .refine((text) => isIP(text) !== 0, 'must be an IP address, such as 127.0.0.6')
    .meta({ title: 'IP address' })

/** A list without repetition that is never empty (P4: empty means nobody, so it is not written). */
export function list<T extends z.ZodType>(item: T, max = 100) {
  return z
    .array(item)
    .min(1, 'must not be empty')
    .max(max)
    .superRefine((items, context) => {
      items.forEach((each, index) => {
        if (typeof each === 'string' && items.indexOf(each) !== index) {
          context.addIssue({ code: 'custom', path: [index], message: 'is there twice' })
        }
      })
    })
}
