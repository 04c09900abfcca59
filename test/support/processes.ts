import { readFileSync, readdirSync, readlinkSync } from "node:fs";

/** Pids of every process whose environment says that it belongs to a replica or proxy of this job. */
export function processesOf(job: string): readonly number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .filter((entry) =>
      environmentOf(entry).some((line) => line.startsWith(`PDJOB_INCARNATION=${job}-`)),
    )
    .map(Number);
}

/** Of something that must run. Signals to process 0 would go to the tests themselves, and to whoever runs them. */
export function pidOf(one: { readonly pid?: number | undefined } | undefined): number {
  if (one?.pid === undefined) throw new Error("it has no process");
  return one.pid;
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

export interface ProcessRow {
  readonly pid: number;
  readonly parent: number;
  /** As it calls itself now: vLLM's processes rename themselves. */
  readonly command: string;
}

/** Every process of this machine that can be read. */
export function allProcesses(): readonly ProcessRow[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => {
      try {
        // The name may hold spaces and brackets; the parent is the second field after its end.
        const stat = readFileSync(`/proc/${entry}/stat`, "utf8").replace(/^.*\) /s, "");
        const command = readFileSync(`/proc/${entry}/cmdline`, "utf8").replaceAll("\0", " ");
        return [{ pid: Number(entry), parent: Number(stat.split(" ")[1]), command }];
      } catch {
        return [];
      }
    });
}

/** A process and everything that it started, as far as the parents are still there. */
export function treeOf(root: number): readonly ProcessRow[] {
  const all = allProcesses();
  const below = (pid: number): readonly ProcessRow[] =>
    all.filter(({ parent }) => parent === pid).flatMap((row) => [row, ...below(row.pid)]);
  return [...all.filter(({ pid }) => pid === root), ...below(root)];
}

/** The kernel's letter: R, S, D, Z (dead, not reaped), T (stopped), …; undefined when there is no such process. */
export function stateOfProcess(pid: number): string | undefined {
  try {
    return /^State:\s+(\w)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  } catch {
    return undefined;
  }
}

/** One that is dead and not reaped does not run. */
export const isProcess = (pid: number): boolean => {
  const state = stateOfProcess(pid);
  return state !== undefined && state !== "Z" && state !== "X";
};

/** Memory that is not swapped or shared away; 0 once it has ended. */
export function residentBytes(pid: number): number {
  try {
    const [, kilobytes] =
      /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return Number(kilobytes ?? 0) * 1_024;
  } catch {
    return 0;
  }
}

/** Direct children. */
export const childrenOf = (parent: number | undefined): readonly ProcessRow[] =>
  allProcesses().filter((row) => row.parent === parent);

export const parentOf = (pid: number | undefined): number | undefined =>
  allProcesses().find((row) => row.pid === pid)?.parent;

/** The actor of an engine: the process that holds the other end of the pipe from which its guard reads. */
export function holderOfGuard(engine: number): number | undefined {
  const guard = parentOf(engine);
  const pipe = linkOf(`/proc/${guard}/fd/0`);
  if (pipe === "") return undefined; // Or any process would do of which a link cannot be read.
  return allProcesses().find(
    ({ pid }) => pid !== guard && fdsOf(pid).some((fd) => linkOf(`/proc/${pid}/fd/${fd}`) === pipe),
  )?.pid;
}

function fdsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`);
  } catch {
    return []; // It ended meanwhile.
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
