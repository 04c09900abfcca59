import { readdirSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { takeLock } from "./lock.ts";

const triesMax = 200;
const claimPrefix = `pdjob-port-${process.getuid?.()}-`;
const claimSuffix = ".lock";
const portMax = 65_535;

/** Can we listen there now? */
export function isFree(port: number, host = "0.0.0.0"): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** The wanted port if it is free, else the next free one above it. */
export async function freePort(wanted: number): Promise<number> {
  for (const port of candidates(wanted)) if (await isFreeAnywhere(port)) return port;
  throw noneFree(wanted);
}

export interface ClaimedPort {
  readonly port: number;
  release(): void;
}

/**
 * As `freePort`, and no other process of this user claims it until it is released or this one has ended: what will
 * listen there takes a while to begin, and two that start at the same time would see the same port free.
 */
export async function claimPort(wanted: number): Promise<ClaimedPort> {
  for (const port of candidates(wanted)) {
    const lock = takeLock(join(tmpdir(), `${claimPrefix}${port}${claimSuffix}`));
    if (!lock.taken) continue;
    if (await isFreeAnywhere(port)) return { port, release: lock.release };
    lock.release();
  }
  throw noneFree(wanted);
}

/** Removes the claims of processes that were killed before they could do it. */
export function collectClaims(): void {
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(claimPrefix) || !name.endsWith(claimSuffix)) continue;
    const lock = takeLock(join(tmpdir(), name));
    if (lock.taken) lock.release();
  }
}

const candidates = (wanted: number): readonly number[] =>
  Array.from({ length: triesMax }, (_, index) => wanted + index).filter((port) => port <= portMax);

const isFreeAnywhere = async (port: number): Promise<boolean> =>
  (await isFree(port)) && (await isFree(port, "127.0.0.1"));

const noneFree = (wanted: number): Error => {
  const last = Math.min(wanted + triesMax - 1, portMax);
  return new Error(
    `No free port among ${wanted}-${last}. Stop what holds them, or choose another range.`,
  );
};
