import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { asIdentity, isAlive, isSame, ownIdentity } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";

/** Turns over a lock that comes, goes or changes hands between two looks. */
const turnsMax = 20;

export type Lock =
  | { readonly taken: true; release(): void }
  | { readonly taken: false; readonly holder: ProcessIdentity };

/**
 * A lock file that names its holder. It is made whole or not at all, and one whose holder died is taken over by exactly
 * one process: only who holds the lock on "the successor of that holder" may replace it, and only while it still is that
 * holder's.
 */
export function takeLock(file: string): Lock {
  const own = ownIdentity();
  const mine: Lock = { taken: true, release: () => release(file, own) };
  for (let turn = 0; turn < turnsMax; turn++) {
    if (create(file, own)) return mine;
    const holder = holderOf(file);
    if (holder === undefined) continue;
    if (isAlive(holder)) return { taken: false, holder };
    const succession = takeLock(`${file}.after-${holder.pid}-${holder.startedTicks}`);
    if (!succession.taken) return succession;
    const now = holderOf(file);
    const isStillTheirs = now !== undefined && isSame(now, holder);
    if (isStillTheirs) replace(file, own);
    succession.release();
    if (isStillTheirs) return mine;
  }
  throw new Error(`${file} changed hands ${turnsMax} times meanwhile. Try again.`);
}

/** A link is refused when the name exists, and what it names is complete already. */
function create(file: string, own: ProcessIdentity): boolean {
  const draft = drafted(file, own);
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

const replace = (file: string, own: ProcessIdentity): void => renameSync(drafted(file, own), file);

function drafted(file: string, own: ProcessIdentity): string {
  const draft = `${file}.${own.pid}`;
  writeFileSync(draft, JSON.stringify(own));
  return draft;
}

function release(file: string, own: ProcessIdentity): void {
  const holder = holderOf(file);
  if (holder !== undefined && isSame(holder, own)) rmSync(file, { force: true });
}

/** Undefined when there is no such file. Content that nobody can have written here counts as a dead holder's. */
function holderOf(file: string): ProcessIdentity | undefined {
  try {
    return asIdentity(parse(readFileSync(file, "utf8"))) ?? { pid: 0, startedTicks: 0 };
  } catch {
    return undefined;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
