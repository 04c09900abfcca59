import type { EngineState, ProcessExit } from "../../../src/domain/observed.ts";
import type { Node } from "./ray.ts";

/** What a prober asks and how often, and how many failures in a row after a success mean unhealthy. */
export interface Probe {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly failures: number;
}
/** agent/pdjob_agent/node/health.py */
export const failuresMax = 3;
export const bootIntervalMs = 500;

/** How the next engine of a role behaves: chosen by the schedule of faults. */
export interface Boot {
  readonly takesMs: number;
  /** Exits with code 1 when the boot would have been done. */
  readonly fails?: boolean;
}

/** A `vllm serve` process, or the proxy's: its truth, whatever Ray or a prober believes. */
export interface Process {
  /** Ray name of the actor that owns it. */
  readonly name: string;
  readonly job: string;
  readonly node: Node;
  /** Ray's session when it started. */
  readonly session: string;
  readonly port: number;
  readonly startedAtMs: number;
  readonly probe: Probe;
  /** Of what config it is; absent for a proxy, and for a job whose config was never changed. */
  readonly revision?: string;
  readonly kvRevision?: string;
  readonly servesFromMs: number;
  hungSinceMs?: number | undefined;
  /** It answers, and no KV gets in or out. */
  isKvDead?: boolean;
  /** When that ends, or has ended. */
  kvCutUntilMs?: number;
  /** A canary went through it. */
  isProven?: true;
  /** A fault hit it at least once: what is done to it then may rest on an old observation. */
  wasHurt?: true;
  exit?: ProcessExit;
  /** Ends it, if it still runs. */
  die(code: number | null, signal: string | null): void;
}

export const isAlive = ({ exit }: Process): boolean => exit === undefined;

/** Would it answer a request that reaches it? */
export const answers = (process: Process, nowMs: number): boolean =>
  isAlive(process) && process.hungSinceMs === undefined && nowMs >= process.servesFromMs;

/** Did it ever answer? */
export const hasServed = ({ servesFromMs, exit, hungSinceMs }: Process, nowMs: number): boolean =>
  servesFromMs <= Math.min(nowMs, exit?.atMs ?? nowMs, hungSinceMs ?? nowMs);

/** What the prober beside it says, worked out from its truth instead of probe by probe. */
export function probedState(process: Process, nowMs: number): EngineState {
  const { exit, hungSinceMs, servesFromMs } = process;
  if (exit) return "exited";
  const seenServing = servesFromMs + bootIntervalMs;
  if (nowMs < seenServing || (hungSinceMs ?? Infinity) < seenServing) return "starting";
  const hungForMs = hungSinceMs === undefined ? 0 : nowMs - hungSinceMs;
  return hungForMs >= noticedAfterMs(process) ? "unhealthy" : "healthy";
}

/** How long a hang takes to be noticed. */
export const noticedAfterMs = ({ probe }: Process): number =>
  probe.failures * (probe.intervalMs + probe.timeoutMs);
