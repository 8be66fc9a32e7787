// Owns how a socket's address is written, so that two spellings of one address compare equal.
// Must not decide which peers are trusted.
import { isIPv4, isIPv6, SocketAddress } from 'node:net'

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/

/** Gives the canonical text of an IP address, IPv4-mapped IPv6 as IPv4; undefined for other text. */
export function canonicalAddress(text: string): string | undefined {
  if (isIPv4(text)) return text
  if (!isIPv6(text)) return undefined
  const { address } = new SocketAddress({ address: text, family: 'ipv6' })
  return MAPPED.exec(address)?.[1] ?? address
}
