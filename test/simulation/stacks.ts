/**
 * Errors are what most stories are of, and taking the stack of each is dear. Whoever has to understand one plays it again
 * without this.
 */
export async function withoutStacks<T>(play: () => Promise<T>): Promise<T> {
  const usual = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return await play();
  } finally {
    Error.stackTraceLimit = usual;
  }
}
