import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "../client.ts";

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
  const server = { address, namespace: "default", connectionOptions: { address } };
  const { pollers, close } = await connect({ server, taskQueue });
  try {
    for (const untilMs = Date.now() + timeoutMs; Date.now() < untilMs;) {
      // A server that is busy for a moment ends nobody's start.
      if ((await pollers().catch(() => 0)) > 0) return true;
      await sleep(lookEveryMs, undefined, signal ? { signal } : {});
    }
    return false;
  } finally {
    await close();
  }
}
