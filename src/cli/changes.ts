import type { PdjobClient } from "../client.ts";
import { withCounts } from "../domain/apply.ts";
import { revisionAt } from "../domain/revision.ts";
import type { Revision } from "../domain/revision.ts";
import type { Change } from "../plan/changes.ts";
import { Exit } from "./exit.ts";
import { follow, notFollowed } from "./follow.ts";
import { interruption } from "./interrupt.ts";
import { ownCommand } from "./invocation.ts";
import { colour, columns, print } from "./output.ts";

/** One line for each key: what it was, and what it is to be. */
export function printChanges(changes: readonly Change[], consequences: readonly string[]): void {
  print(
    columns(
      changes.map(({ path, before, after }) => [
        `  ${path}`,
        before === undefined ? "is new:" : before,
        before !== undefined && after === undefined
          ? "is gone"
          : before === undefined
            ? (after ?? "")
            : `→ ${after}`,
      ]),
    ),
  );
  const text = consequences.length > 0 ? consequences : ["in place: no engine is touched"];
  for (const line of text) print(`${colour("bold", "·")} ${line}`);
}

/** Follows until the job serves with this revision; fails when it went back to an earlier one instead. */
export async function followRevision(
  client: PdjobClient,
  job: string,
  revision: number,
): Promise<void> {
  const until = (status: { readonly phase: string; readonly revision?: number }): boolean =>
    status.phase === "READY" && (status.revision ?? 1) >= revision;
  const status = await follow({ client, job, until, signal: interruption() });
  if (!status) throw new Exit(130, notFollowed(job));
  if (status.phase !== "READY")
    throw new Exit(1, `Job ${job} is ${status.phase}: ${status.reason}`);
  const newest = (await client.revisions(job)).at(-1);
  if (newest && newest.number !== revision)
    throw new Exit(1, `Revision ${revision} of job ${job} was given up: ${newest.why}`);
  print(`${colour("green", "READY")}  revision ${revision} of job ${job} serves`);
}

/** The newest revision, as the job runs it: counts may have been changed since. */
export async function runningSpec(client: PdjobClient, job: string) {
  const revisions = await client.revisions(job);
  const { desired } = await client.status(job);
  const newest = revisions.at(-1);
  if (!newest)
    throw new Exit(1, `Job ${job} was started by a version of pdjob that cannot change configs.`);
  return { revisions, spec: withCounts(newest.spec, desired), desired };
}

/** The revision named on the command line, or the one before the newest; exit 1 when it is not kept. */
export function revisionNamed(
  job: string,
  revisions: readonly Revision[],
  to: number | undefined,
): Revision {
  const found = revisionAt(revisions, to);
  if (found) return found;
  const kept = revisions.map(({ number }) => number).join(", ");
  throw new Exit(
    1,
    `Job ${job} has no ${to === undefined ? "earlier revision" : `revision ${to}`}; kept: ${kept}. See ${ownCommand()} history ${job}.`,
  );
}
