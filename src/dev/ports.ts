// Owns which ports the development profile uses, and the words where one is taken.
// Must not keep a port: it is free again when this returns.

import type { AddressInfo } from 'node:net'
import { createServer, type Server } from 'node:net'
import type { DevelopmentPorts } from './profile.ts'

export const DEFAULT_PORT_BASE = 8080
/** The profile uses this port and the three that follow. */
export const MAX_PORT_BASE = 65535 - 3

/** A port that another program uses. */
export interface PortTaken {
  readonly taken: number
}

/**
 * Finds out whether the four ports from `base` on are free on 127.0.0.1; base 0 lets the system choose
 * four. They are held together while looking, so that the system gives four different ones.
 */
export async function choosePorts(base: number): Promise<DevelopmentPorts | PortTaken> {
  const held: Server[] = []
  const ports: number[] = []
  try {
    for (const offset of [0, 1, 2, 3]) {
      const wanted = base === 0 ? 0 : base + offset
      const server = await listen(wanted)
      if (server === undefined) return { taken: wanted }
      held.push(server)
      ports.push((server.address() as AddressInfo).port)
    }
  } finally {
    await Promise.all(held.map((server) => new Promise((closed) => server.close(closed))))
  }
  const [token = 0, publicPort = 0, admin = 0, identity = 0] = ports
  return { token, public: publicPort, admin, identity }
}

/** Undefined where the port is in use, or needs rights that we have not. */
function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(undefined)
      else reject(error)
    })
    server.listen(port, '127.0.0.1', () => resolve(server))
  })
}
