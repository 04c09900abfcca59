import { condition, patched } from "@temporalio/workflow";
import type { Failure } from "../domain/errors.ts";
import { note } from "./state.ts";
import type { JobState } from "./state.ts";

/** A first deployment that failed is released by then, or its cluster is given up: nobody can tell when it comes back. */
export const giveUpAfterMs = 120_000;
/** Until whatever still waits for the cluster has heard that it is called off. */
const calledOffWithinMs = 30_000;

/** Looks at a cluster that told that it does not answer: since when, and when the newest one began. */
export interface Blind {
  readonly sinceMs: number;
  readonly lookedAtMs: number;
}

/**
 * Has a first deployment failed that cannot be released, because the cluster has not answered since then? A job that has
 * served, or that somebody stops, waits for its cluster. A look that began before it was time does not count: it may have
 * ended in vain because its worker died, and that may be long ago.
 */
export const isLost = ({ failure, memory }: JobState, blind: Blind | undefined): blind is Blind =>
  failure !== undefined &&
  !memory.served &&
  blind !== undefined &&
  blind.lookedAtMs >= blind.sinceMs + giveUpAfterMs &&
  patched("give-up-a-lost-cluster");

/** Calls off whatever still waits for the cluster; the job's failure says how to clean up there. */
export async function giveUp(state: JobState, { sinceMs }: Blind): Promise<void> {
  const { failure, inFlight } = state;
  if (failure) state.failure = withCleanup(failure, state, sinceMs);
  note(state, "the cluster does not answer: what is left there is given up", Date.now());
  for (const { cancel } of inFlight.values()) cancel();
  await condition(() => inFlight.size === 0, calledOffWithinMs);
}

function withCleanup(
  { code, message }: Failure,
  { spec: { name, leaseS } }: JobState,
  sinceMs: number,
): Failure {
  const since = new Date(sinceMs).toISOString();
  const alone =
    leaseS > 0 ? `; engines end by themselves ${leaseS} s after they were last looked at` : "";
  const next = `Next: the cluster has not answered since ${since}, so what the job began there may be left. Once it answers again, pdjob-client cleanup ${name} removes it${alone}.`;
  return { code, message: `${message}\n${next}` };
}
