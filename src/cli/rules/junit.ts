// Owns the JUnit report of tests: the XML that continuous integration reads.
// Must not know a ruleset.

/** One test case of a report. */
export interface JunitCase {
  readonly name: string
  readonly file: string
  readonly line: number
  /** What is wrong, in lines; undefined where it passed. */
  readonly failure: string | undefined
}

/** XML 1.0 §2.2: what may stand in a document; a report is no reason for a reader to stop. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what XML does not allow
const NOT_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\p{Cs}\ufffe\uffff]/gu

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
}

/** Text as an attribute holds it, so that reading it gives the same text. */
function escaped(text: string): string {
  return text.replace(NOT_XML, '\ufffd').replace(/[&<>"\t\n\r]/g, (char) => ENTITIES[char] ?? char)
}

/** A test suite for each file, in the order of the cases. */
export function junitXml(cases: readonly JunitCase[]): string {
  const suites = new Map<string, JunitCase[]>()
  for (const one of cases) {
    const known = suites.get(one.file)
    if (known === undefined) suites.set(one.file, [one])
    else known.push(one)
  }
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${counts(cases)}>`,
    ...[...suites].flatMap(([file, ofFile]) => [
      `  <testsuite name="${escaped(file)}" ${counts(ofFile)}>`,
      ...ofFile.map(caseXml),
      '  </testsuite>',
    ]),
    '</testsuites>',
    '',
  ].join('\n')
}

const counts = (cases: readonly JunitCase[]): string =>
  `tests="${cases.length}" failures="${cases.filter(({ failure }) => failure !== undefined).length}" errors="0"`

function caseXml({ name, file, line, failure }: JunitCase): string {
  const open = `    <testcase classname="${escaped(file)}" name="${escaped(name)}" file="${escaped(file)}" line="${line}"`
  if (failure === undefined) return `${open}/>`
  const [first = ''] = failure.split('\n')
  return `${open}><failure message="${escaped(first)}">${escaped(failure)}</failure></testcase>`
}
