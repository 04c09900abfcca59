import { setTimeout as sleep } from "node:timers/promises";

/** On a machine that does a lot besides; an idle one needs a hundredth. */
const patienceMs = 90_000;

/** Polls until `look` answers with something true; fails with the last answer when `timeoutMs` is over. */
export async function eventually<T>(
  what: string,
  look: () => T | Promise<T>,
  timeoutMs = patienceMs,
): Promise<NonNullable<T>> {
  const untilMs = Date.now() + timeoutMs;
  let last: unknown;
  while (Date.now() < untilMs) {
    const answer = await Promise.resolve(look()).catch((error: unknown) => {
      last = error;
      return undefined;
    });
    if (answer) return answer;
    last = answer ?? last;
    await sleep(100);
  }
  throw new Error(
    `${what}: not within ${timeoutMs / 1_000} s; last: ${last instanceof Error ? last.message : JSON.stringify(last)}`,
  );
}
