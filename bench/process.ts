// Owns what is read of a server process: its CPU time and memory, and when it is ready. Linux only.
import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Ticks per second of /proc/<pid>/stat on every Linux that Node runs on. */
const TICKS = 100

/** CPU seconds that a process and all its threads have used. */
export function cpuSeconds(child: ChildProcess): number {
  const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS
}

/** Peak resident memory in MB (VmHWM). */
export function peakMegabytes(child: ChildProcess): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024
}
