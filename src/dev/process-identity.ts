import { readFileSync } from "node:fs";

/** A process, told apart from a later one that got the same pid by when it was started. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks between the machine's start and the process's. */
  readonly startedTicks: number;
}

export function ownIdentity(): ProcessIdentity {
  const startedTicks = startedTicksOf(process.pid);
  if (startedTicks === undefined) throw new Error("/proc is not readable: Linux is needed.");
  return { pid: process.pid, startedTicks };
}

/** Is this very process still there? A zombie is not. */
export const isAlive = ({ pid, startedTicks }: ProcessIdentity): boolean =>
  startedTicksOf(pid) === startedTicks;

export const isSame = (one: ProcessIdentity, other: ProcessIdentity): boolean =>
  one.pid === other.pid && one.startedTicks === other.startedTicks;

/** Reads an identity out of whatever a file held; undefined when it holds none. */
export function asIdentity(value: unknown): ProcessIdentity | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if (!("pid" in value) || !("startedTicks" in value)) return undefined;
  const { pid, startedTicks } = value;
  return typeof pid === "number" && typeof startedTicks === "number"
    ? { pid, startedTicks }
    : undefined;
}

function startedTicksOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in parentheses, and may itself hold spaces and parentheses.
    const [state = "", ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z" || state === "X" ? undefined : Number(rest[18]);
  } catch {
    return undefined;
  }
}
