// Owns how a running development profile tells on a terminal what happens: one readable line each.
// Must not be used by `serve`, whose log is JSON (log.ts).
import { printable } from '../config/problem.ts'
import type { ServerLog } from '../serve.ts'

export interface DevelopmentLog extends ServerLog {
  /** From now on `info` is written as well; before, a start would scroll its own instructions away. */
  readonly speak: () => void
}

/** Makes the log. `write` takes whole lines; `now` gives milliseconds since the epoch. */
export function developmentLog(write: (text: string) => void, now: () => number): DevelopmentLog {
  let speaks = false
  const line = (level: string, data: object, message: string) => {
    const time = new Date(now()).toISOString().slice(11, 19)
    write(
      `${time}  ${printable(message === 'exchange' ? exchangeText(data) : `${level}  ${message}${fieldsText(data)}`)}\n`,
    )
  }
  return {
    speak: () => {
      speaks = true
    },
    info: (data, message) => {
      if (speaks) line('info', data, message)
    },
    warn: (data, message) => line('warn', data, message),
    error: (data, message) => line('error', data, message),
  }
}

/** What a person wants to know of an exchange; the rest is in the audit under the decision id. */
function exchangeText(data: object): string {
  const { outcome, reason, detail, rule, client, target, decision_id: id } = data as ExchangeFields
  const what = rule ?? [client, target].filter((part) => part !== undefined).join(' -> ')
  const why = [reason, detail].filter((part) => part !== undefined).join(': ')
  return [String(outcome), what, why, `decision ${id}`].filter((part) => part !== '').join('  ')
}

type ExchangeFields = Readonly<
  Record<
    'outcome' | 'reason' | 'detail' | 'rule' | 'client' | 'target' | 'decision_id',
    string | undefined
  >
>

function fieldsText(data: object): string {
  const parts = Object.entries(data).map(([name, value]) => `${name}=${valueText(value)}`)
  return parts.length === 0 ? '' : `  ${parts.join(' ')}`
}

function valueText(value: unknown): string {
  if (value instanceof Error) return value.message
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '-')
}
