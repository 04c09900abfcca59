import type { Process } from "./cluster/engine.ts";
import type { Host, World } from "./world.ts";

/** Each fault says what it did in the trace, and marks whose state the orchestrator may now be wrong about. */
export function crashProcess({ note }: World, process: Process): void {
  note(`FAULT ${process.name} exits`);
  process.wasHurt = true;
  process.die(1, null);
}

/** Nobody reaches Ray's tables for a while; they are all there afterwards. */
export function blockRay({ note, clock, cluster: { ray } }: World, forMs: number): void {
  if (!ray.isReachable()) return;
  note(`FAULT the GCS does not answer for ${forMs} ms`);
  ray.setReachable(false);
  clock.after(forMs, () => ray.setReachable(true));
}

export function killAgent({ note }: World, { agent, worker }: Host): void {
  note(`FAULT the agent of ${worker.name} dies`);
  agent.kill();
}

/** A worker dies with its agent; another one starts soon. */
export function killWorker({ note, clock, addHost }: World, { agent, worker }: Host): void {
  if (!worker.isAlive()) return;
  note(`FAULT ${worker.name} dies`);
  worker.kill();
  agent.kill();
  clock.after(2_000, () => void addHost());
}

/** Cut off from Temporal, it goes on with what others were meanwhile told to do. */
export function isolateWorker({ note, clock }: World, { worker }: Host, forMs: number): void {
  if (!worker.isAlive()) return;
  note(`FAULT ${worker.name} loses Temporal for ${forMs} ms`);
  worker.isolate(true);
  clock.after(forMs, () => worker.isolate(false));
}

export function stopTemporal({ note, clock, server }: World, forMs: number): void {
  if (!server.isUp()) return;
  note(`FAULT Temporal is down for ${forMs} ms`);
  server.setUp(false);
  clock.after(forMs, () => server.setUp(true));
}
