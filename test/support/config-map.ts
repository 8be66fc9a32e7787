// Owns a folder as the kubelet mounts a ConfigMap: links through `..data`, which is swapped at once.
// Must not hold tests.
import { mkdtempSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'

type Data = Readonly<Record<string, string>>

/** A mounted ConfigMap. */
export interface MountedConfigMap {
  readonly folder: string
  /** What the kubelet does when the ConfigMap has changed (kubernetes, pkg/volume/util/atomic_writer.go). */
  readonly update: (data: Data) => void
}

/** Mounts one below `parent`. */
export function configMap(parent: string, data: Data): MountedConfigMap {
  const folder = mkdtempSync(join(parent, 'mount-'))
  const write = (content: Data): string => {
    const made = mkdtempSync(join(folder, '..2026_11_23_'))
    for (const [name, text] of Object.entries(content)) writeFileSync(join(made, name), text)
    return basename(made)
  }
  const link = (name: string) => symlinkSync(join('..data', name), join(folder, name))
  symlinkSync(write(data), join(folder, '..data'))
  for (const name of Object.keys(data)) link(name)
  let names = Object.keys(data)
  return {
    folder,
    update(next) {
      const old = readlinkSync(join(folder, '..data'))
      symlinkSync(write(next), join(folder, '..data_tmp'))
      renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
      for (const name of Object.keys(next)) if (!names.includes(name)) link(name)
      for (const name of names) if (!(name in next)) rmSync(join(folder, name))
      rmSync(join(folder, old), { recursive: true })
      names = Object.keys(next)
    },
  }
}
