import { readFileSync, readdirSync } from "node:fs";

/** Pids of every process whose environment says that it belongs to a replica or proxy of this job. */
export function processesOf(job: string): readonly number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .filter((entry) =>
      environmentOf(entry).some((line) => line.startsWith(`PDJOB_INCARNATION=${job}-`)),
    )
    .map(Number);
}

/** The incarnation and pid of each engine's or proxy's own process (not of its children). */
export function incarnationOf(pid: number): string | undefined {
  return environmentOf(String(pid))
    .find((line) => line.startsWith("PDJOB_INCARNATION="))
    ?.slice("PDJOB_INCARNATION=".length);
}

function environmentOf(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  } catch {
    return []; // It ended meanwhile.
  }
}
