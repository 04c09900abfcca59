import { check, checkListening, unknown } from "./check.ts";
import type { Check } from "./check.ts";
import { serverFor, withClient } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";

const fix =
  "Start a server (pdjob-client dev), or name another with --address or TEMPORAL_ADDRESS.";

/** The server: can it be reached, is it Temporal with our namespace, does a worker poll? */
export async function checkTemporal(flags: ConnectionFlags): Promise<readonly Check[]> {
  const port = await check("temporal port", () => checkListening(serverFor(flags).address, fix));
  if (!port.ok) return [port, ...["temporal", "worker"].map((name) => unknown(name, port.name))];
  const server = await check("temporal", () =>
    withClient(flags, async (client) => {
      await client.list(1); // Fails when there is no such namespace, or when we may not look into it.
      return `server ${await client.serverVersion()} at ${client.address}, namespace ${client.namespace}`;
    }),
  );
  if (!server.ok) return [port, server, unknown("worker", server.name)];
  const worker = await check("worker", () =>
    withClient(flags, async (client) => {
      const count = await client.pollers();
      if (count > 0)
        return `${count} polled task queue ${client.taskQueue} within the last minutes`;
      throw new Error(
        `no worker polls task queue ${client.taskQueue}: start one with pdjob-worker --ray-address HOST:PORT --task-queue ${client.taskQueue}`,
      );
    }),
  );
  return [port, server, worker];
}
