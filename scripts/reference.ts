// Owns how a zod schema becomes a reference for people. Must not know which schema it is.
import { z } from 'zod'

type Schema = z.core.$ZodType
type Def = z.core.$ZodTypeDef & {
  innerType?: Schema
  in?: Schema
  element?: Schema
  valueType?: Schema
  options?: readonly Schema[]
  shape?: Record<string, Schema>
  entries?: Record<string, string>
  values?: readonly unknown[]
}

interface Row {
  readonly key: string
  readonly kind: string
  readonly isRequired: boolean
  readonly meaning: string
}

/** A Markdown table of every key below a schema, in the order of the schema. */
export function referenceTable(schema: Schema, prefix = ''): string {
  const rows = rowsOf(schema, prefix)
  const lines = rows.map(
    ({ key, kind, isRequired, meaning }) =>
      `| \`${key}\` | ${kind} | ${isRequired ? 'yes' : 'no'} | ${meaning.replaceAll('|', '\\|')} |`,
  )
  return ['| key | value | required | meaning |', '|---|---|---|---|', ...lines, ''].join('\n')
}

/** A JSON Schema for editors: what may be written, not what it becomes. */
export function jsonSchema(schema: z.ZodType, title: string): string {
  const generated = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  return `${JSON.stringify({ ...generated, title }, null, 2)}\n`
}

/** Keys of an object; `<name>` stands for the names of a map, `[]` for the entries of a list. */
function rowsOf(schema: Schema, prefix: string): Row[] {
  return branchesOf(schema).flatMap((branch) => {
    const { shape, element, valueType, type } = defOf(branch)
    if (shape !== undefined) {
      return Object.entries(shape).flatMap(([key, child]) => {
        const path = prefix === '' ? key : `${prefix}.${key}`
        return [rowOf(path, child), ...rowsOf(child, path)]
      })
    }
    if (type === 'array' && element !== undefined) return rowsOf(element, `${prefix}[]`)
    if (type === 'record' && valueType !== undefined) {
      return rowsOf(valueType, prefix === '' ? '<name>' : `${prefix}.<name>`)
    }
    return []
  })
}

function rowOf(key: string, schema: Schema): Row {
  const isRequired = !schema._zod.optin
  return { key, kind: kindOf(schema), isRequired, meaning: metaOf(schema, 'description') ?? '' }
}

const defOf = (schema: Schema): Def => schema._zod.def as Def

/** The schemas behind defaults, options, transformations and unions. */
function branchesOf(schema: Schema): Schema[] {
  const { innerType, in: input, options, type } = defOf(schema)
  if (innerType !== undefined) return branchesOf(innerType)
  if (type === 'pipe' && input !== undefined) return branchesOf(input)
  if (type === 'union') return (options ?? []).flatMap(branchesOf)
  return [schema]
}

/** A member of the metadata of a schema, or of the one that it wraps. */
function metaOf(schema: Schema, member: 'title' | 'description'): string | undefined {
  const found = z.globalRegistry.get(schema)?.[member]
  const { innerType } = defOf(schema)
  return found ?? (innerType === undefined ? undefined : metaOf(innerType, member))
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'number',
  int: 'whole number',
  boolean: '`true` or `false`',
  object: 'mapping',
  record: 'mapping',
}

function kindOf(schema: Schema): string {
  const title = metaOf(schema, 'title')
  if (title !== undefined) return title
  const { innerType, in: input, type, element, options, entries, values, valueType } = defOf(schema)
  if (innerType !== undefined) return kindOf(innerType)
  if (type === 'pipe' && input !== undefined) return kindOf(input)
  if (type === 'union') return [...new Set((options ?? []).map(kindOf))].join(' or ')
  if (type === 'array' && element !== undefined) return `list of ${kindOf(element)}`
  if (type === 'record' && valueType !== undefined)
    return `mapping of names to ${kindOf(valueType)}`
  if (type === 'enum')
    return Object.values(entries ?? {})
      .map((one) => `\`${one}\``)
      .join(', ')
  if (type === 'literal') return (values ?? []).map((one) => `\`${String(one)}\``).join(', ')
  return KINDS[type] ?? type
}
