// Owns a wall clock and monotonic time that a test moves, together or apart.

/** `pass` moves both; `jump` only the wall clock. */
export function handClock(start: number) {
  let wall = start
  let passed = 0
  return {
    clocks: { now: () => wall, monotonic: () => passed },
    pass: (ms: number): void => {
      wall += ms
      passed += ms
    },
    jump: (ms: number): void => {
      wall += ms
    },
  }
}
