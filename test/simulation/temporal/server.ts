import type { Clock } from "../clock.ts";
import type { Random } from "../random.ts";
import { createActivityTable } from "./activities.ts";
import type { OnTask } from "./activities.ts";
import { createRun } from "./execution.ts";
import type { Ending } from "./execution.ts";
import type { Worker } from "./worker.ts";

/** From an event to the workflow task it causes. */
const taskMs = [2, 30] as const;

export type WorkflowStatus = "running" | "terminated" | Exclude<Ending["kind"], "continued">;

/** A workflow over all its runs. */
export interface Execution {
  readonly id: string;
  status: WorkflowStatus;
  ending?: Ending;
  /** Runs so far: more than one after continue-as-new. */
  runs: number;
  historyMax: number;
}

/** A Temporal server: nothing that it acknowledged is lost, and a workflow task needs it and a worker. */
export function createServer(clock: Clock, random: Random, onTask: OnTask) {
  let isUp = true;
  const workers: Worker[] = [];
  const ready = (): readonly Worker[] => workers.filter((worker) => worker.isConnected());
  const activities = createActivityTable(clock, random, {
    workers: ready,
    isUp: () => isUp,
    onTask,
  });
  const open = new Map<string, ReturnType<typeof createHost>>();

  function createHost(id: string, workflow: (input: never) => Promise<unknown>, input: unknown) {
    const execution: Execution = { id, status: "running", runs: 0, historyMax: 0 };
    let isDue = false;
    let isPerforming = false;
    let run = start(JSON.stringify(input));

    function start(inputJson: string): ReturnType<typeof createRun> {
      execution.runs += 1;
      return createRun({ clock, activities, workflow, inputJson, onEvent: wake, onEnd });
    }

    function wake(): void {
      if (isDue || isPerforming) return;
      isDue = true;
      clock.after(random.between(...taskMs), perform);
    }

    async function perform(): Promise<void> {
      isDue = false;
      if (execution.status !== "running" || run.isIdle() || ready().length === 0) return;
      isPerforming = true;
      await run.perform();
      isPerforming = false;
      execution.historyMax = Math.max(execution.historyMax, run.historyLength());
      if (execution.status === "running" && !run.isIdle()) wake();
    }

    function onEnd(ending: Ending): void {
      run.close();
      if (ending.kind === "continued") {
        run = start(ending.inputJson);
        return;
      }
      execution.status = ending.kind;
      execution.ending = ending;
      open.delete(id);
    }

    function terminate(): void {
      run.close();
      execution.status = "terminated";
      open.delete(id);
    }

    /** A handler is looked up when it is delivered: after continue-as-new it is the new run's. */
    function message(name: string, payload: unknown, answer?: (result: unknown) => void): void {
      run.countMessage();
      run.receive(() => {
        const handler = run.handler(name);
        if (!handler) throw new Error(`${id} has no handler for ${name}`);
        try {
          handler.validate?.(payload);
          const result = handler.handle(payload);
          answer?.(result);
        } catch (error) {
          if (!answer) throw error;
          answer(error);
        }
      }, true);
    }

    wake();
    return {
      execution,
      wake,
      message,
      terminate,
      cancel: () => run.cancel(),
      query: (name: string) => run.handler(name)?.handle(undefined),
    };
  }

  return {
    /** Undefined when a workflow of that id is running. */
    start(
      id: string,
      workflow: (input: never) => Promise<unknown>,
      input: unknown,
    ): Execution | undefined {
      if (open.has(id)) return undefined;
      const host = createHost(id, workflow, input);
      open.set(id, host);
      return host.execution;
    },
    signal: (id: string, name: string, payload: unknown) => open.get(id)?.message(name, payload),
    update: (id: string, name: string, payload: unknown, answer: (result: unknown) => void) =>
      open.get(id)?.message(name, payload, answer),
    query: (id: string, name: string): unknown => open.get(id)?.query(name),
    cancel: (id: string) => open.get(id)?.cancel(),
    terminate: (id: string) => open.get(id)?.terminate(),
    isUp: () => isUp,
    /** An outage: no task is handed out, no heartbeat taken; everything that was acknowledged is there afterwards. */
    setUp(next: boolean): void {
      if (isUp === next) return;
      isUp = next;
      for (const worker of workers) worker.serverChanged();
    },
    addWorker(worker: Worker): void {
      workers.push(worker);
      workerCame();
    },
    workers: (): readonly Worker[] => workers.filter((worker) => worker.isAlive()),
    missed: activities.missed,
    workerCame,
  };

  function workerCame(): void {
    activities.workerCame();
    for (const { wake } of open.values()) wake();
  }
}

export type Server = ReturnType<typeof createServer>;
