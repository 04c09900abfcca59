import { setTimeout as sleep } from "node:timers/promises";
import { Connection } from "@temporalio/client";

const lookEveryMs = 100;
const timeoutMs = 20_000;

/**
 * Waits until a worker has asked the server for work: a process that runs may still be connecting, and a job or a
 * `doctor` that comes by then finds nobody. False when none has within 20 s; rejects with the signal's reason.
 */
export async function untilPolled(
  address: string,
  taskQueue: string,
  signal?: AbortSignal,
): Promise<boolean> {
  const connection = await Connection.connect({ address });
  try {
    for (const untilMs = Date.now() + timeoutMs; Date.now() < untilMs;) {
      if (await isPolled(connection, taskQueue)) return true;
      await sleep(lookEveryMs, undefined, signal ? { signal } : {});
    }
    return false;
  } finally {
    await connection.close();
  }
}

async function isPolled(connection: Connection, taskQueue: string): Promise<boolean> {
  try {
    const { pollers } = await connection.workflowService.describeTaskQueue({
      namespace: "default",
      taskQueue: { name: taskQueue },
      taskQueueType: 1,
    });
    return (pollers ?? []).length > 0;
  } catch {
    return false; // A server that is busy for a moment ends nobody's start.
  }
}
