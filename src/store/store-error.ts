// Owns the failures of the database file that an operator has to see and mend. Must not open anything.

/** What is wrong with the database as a whole. */
export type StoreProblem =
  | 'database_missing'
  | 'database_exists'
  | 'database_unreadable'
  | 'database_damaged'
  | 'migrations_unreadable'
  | 'migration_edited'
  | 'migration_missing'
  | 'migration_failed'
  | 'database_newer'
  | 'database_not_migrated'

/**
 * Thrown by whatever opens or changes the database as a whole. It happens at start or in a command,
 * never within a request, and the message says what to do: the command line prints it and exits 1.
 */
export class StoreError extends Error {
  readonly problem: StoreProblem

  constructor(problem: StoreProblem, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'StoreError'
    this.problem = problem
  }
}
