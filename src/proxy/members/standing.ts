/*
 * When a member, or a pair of them, is passed over for a while. All of it only orders the choice: whoever is the last one
 * is asked all the same. Health is the orchestrator's business; this bridges the time until it knows.
 */

/** How long a member that failed is passed over. */
export const suspectMs = 3_000;
/** How long a prefill and a decode that failed together are kept apart: what they lack rarely comes back by itself. */
export const apartMs = 30_000;
/** A member that failed with so many partners is what they had in common. */
export const partnersFailedMax = 2;
/** A silent member is passed over for twice as long each time, up to this. */
const ejectionMaxMs = 5 * 60_000;
/** Of its full share, for a member that has just joined. */
const weightAtFirst = 0.1;

/** The share of the load of a member that joined `ageMs` ago: grows evenly, and is 1 at the end of the ramp. */
export const weightAt = (ageMs: number, rampMs: number): number =>
  ageMs >= rampMs ? 1 : weightAtFirst + (1 - weightAtFirst) * (Math.max(0, ageMs) / rampMs);

/** What a member owes its legs, all of them together: one that sends anything at all is not hanging. */
export interface Progress {
  /** Legs that wait for a byte of it now. One whose client does not read does not wait. */
  readonly waiting: number;
  /** The last byte, or when somebody began to wait. */
  readonly sinceMs: number;
  /** Passed over until then, for silence. */
  readonly outUntilMs: number;
  /** Times that it was, without a byte in between. */
  readonly strikes: number;
}

export const idle: Progress = { waiting: 0, sinceMs: 0, outUntilMs: 0, strikes: 0 };

export const asked = (progress: Progress, nowMs: number): Progress => ({
  // Field by field, as below: this is done for each token.
  waiting: progress.waiting + 1,
  sinceMs: progress.waiting === 0 ? Math.max(nowMs, progress.outUntilMs) : progress.sinceMs,
  outUntilMs: progress.outUntilMs,
  strikes: progress.strikes,
});

/** A byte came: it is back at once. */
export const came = (progress: Progress, nowMs: number): Progress => ({
  waiting: Math.max(0, progress.waiting - 1),
  sinceMs: nowMs,
  outUntilMs: 0,
  strikes: 0,
});

/** A leg ended without a byte: the client left, or it broke. */
export const givenUp = (progress: Progress): Progress => ({
  ...progress,
  waiting: Math.max(0, progress.waiting - 1),
});

/**
 * Passes over a member that is silent. The clock starts anew when its time out is over, so that it gets requests for a
 * while in between: what it hangs on may be one request, and no other would ever tell.
 */
export function judgeSilence(
  progress: Progress,
  nowMs: number,
  { silenceMs, ejectionMs }: { readonly silenceMs: number; readonly ejectionMs: number },
): Progress {
  if (progress.waiting === 0 || nowMs < progress.sinceMs + silenceMs) return progress;
  const outMs = Math.min(ejectionMs * 2 ** progress.strikes, ejectionMaxMs);
  const outUntilMs = nowMs + outMs;
  return { ...progress, sinceMs: outUntilMs, outUntilMs, strikes: progress.strikes + 1 };
}
