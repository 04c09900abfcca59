import { leaseSpareS } from "../limits.ts";
import { problem } from "../problem.ts";
import type { Problem } from "../problem.ts";
import type { Reading } from "../reading.ts";

/**
 * A lease that ends while a worker is on its way back stops what serves, and one that ends within a stop cuts requests that
 * have a grace.
 */
export function leaseOutlastsStops({ draft }: Reading): readonly Problem[] {
  const { lease, stop_grace: graceS } = draft;
  if (lease === undefined || graceS === undefined) return [];
  const leastS = graceS + leaseSpareS;
  if (lease === 0 || lease >= leastS) return [];
  return [
    problem(
      ["lease"],
      `is ${lease}, but a stop may take stop_grace (${graceS} s), and whoever takes over from a worker that died up to ${leaseSpareS} s: ` +
        `write at least ${leastS}, or 0 for no lease.`,
    ),
  ];
}
