import { currentPlace, enter } from "../clock.ts";
import type { Clock, Timer } from "../clock.ts";
import { outcomeOf } from "./activities.ts";
import type { Attempt, Outcome } from "./activities.ts";

/** From a worker to the server. */
const reportMs = 5;

type Performers = Readonly<Record<string, (input: never) => Promise<unknown>>>;

/**
 * A worker process. `kill` ends it; `freeze` is SIGSTOP: it does nothing until `thaw`, and then goes on as if nothing
 * had happened; `isolate` cuts it off from Temporal while it goes on working: its attempts become zombies.
 */
export interface Worker {
  readonly name: string;
  readonly attempts: Set<Attempt>;
  clockOffsetMs: number;
  nowMs(): number;
  isAlive(): boolean;
  isConnected(): boolean;
  execute(attempt: Attempt, report: (outcome: Outcome) => void): void;
  /** A timer of this process: it never fires once the process is dead, and late when it was frozen. */
  after(delayMs: number, event: () => void): Timer;
  /** The same for an activity that waits between two looks at the cluster. */
  pause(attempt: Attempt, delayMs: number, event: () => void): Timer;
  /** An attempt goes on as soon as its process runs at all, in an event of its own. */
  goOn(attempt: Attempt, event: () => void): void;
  /** Runs once the process and the server can talk, at the earliest after `delayMs`. */
  whenConnected(delayMs: number, event: () => void): void;
  kill(): void;
  freeze(isFrozen: boolean): void;
  isolate(isIsolated: boolean): void;
  /** The server went down or came back. */
  serverChanged(): void;
}

export interface WorkerSetup {
  readonly name: string;
  readonly clock: Clock;
  readonly performers: Performers;
  readonly pause: (attempt: Attempt, delayMs: number, event: () => void) => Timer;
  readonly serverIsUp: () => boolean;
  readonly onSilent: (worker: Worker) => void;
  readonly onConnected: () => void;
}

export function createWorker({ name, clock, performers, pause, ...server }: WorkerSetup): Worker {
  let state: "runs" | "frozen" | "dead" = "runs";
  let isIsolated = false;
  let thawed: (() => void)[] = [];
  let connected: (() => void)[] = [];
  const attempts = new Set<Attempt>();
  const isConnected = (): boolean => state === "runs" && !isIsolated && server.serverIsUp();

  function resume(event: () => void): void {
    if (state === "runs") event();
    else if (state === "frozen") thawed.push(event);
  }

  const goOn = (attempt: Attempt, event: () => void): void =>
    resume(() => {
      const other = currentPlace();
      if (other && other !== attempt) return void clock.after(0, () => goOn(attempt, event));
      enter(attempt);
      event();
    });

  function whenConnected(delayMs: number, event: () => void): void {
    clock.after(delayMs, () => {
      if (isConnected()) event();
      else if (state !== "dead") connected.push(event);
    });
  }

  /** `change` is what may cut the connection, or bring it back. */
  function shift(wasConnected: boolean): void {
    if (wasConnected && !isConnected()) server.onSilent(worker);
    if (wasConnected || !isConnected()) return;
    const events = connected;
    connected = [];
    for (const event of events) whenConnected(0, event);
    server.onConnected();
  }

  const worker: Worker = {
    name,
    attempts,
    clockOffsetMs: 0,
    nowMs: () => clock.nowMs() + worker.clockOffsetMs,
    isAlive: () => state !== "dead",
    isConnected,
    execute(attempt, report) {
      attempts.add(attempt);
      const run = performers[attempt.task.type];
      // Until the server has heard, the attempt is open: a worker that dies on the way has never answered.
      const end = (outcome: Outcome): void =>
        whenConnected(reportMs, () => {
          attempts.delete(attempt);
          report(outcome);
        });
      enter(attempt);
      void (async () => {
        try {
          if (!run) throw new Error(`no activity is called ${attempt.task.type}`);
          const result = await run(attempt.task.input as never);
          end({ kind: "done", result });
        } catch (error) {
          end(outcomeOf(error, attempt));
        }
      })();
    },
    after: (delayMs, event) => clock.after(delayMs, () => resume(event)),
    pause: (attempt, delayMs, event) =>
      pause(attempt, delayMs, () =>
        goOn(attempt, () => {
          attempt.awakeSinceMs = clock.nowMs();
          event();
        }),
      ),
    goOn,
    whenConnected,
    kill() {
      const was = isConnected();
      state = "dead";
      shift(was);
    },
    freeze(isFrozen) {
      if (state === "dead") return;
      const was = isConnected();
      state = isFrozen ? "frozen" : "runs";
      if (!isFrozen) {
        const events = thawed;
        thawed = [];
        for (const event of events) clock.after(0, () => resume(event));
      }
      shift(was);
    },
    isolate(now) {
      const was = isConnected();
      isIsolated = now;
      shift(was);
    },
    serverChanged: () => shift(!server.serverIsUp() && state === "runs" && !isIsolated),
  };
  return worker;
}
