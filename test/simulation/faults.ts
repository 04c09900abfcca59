import { isAlive, noticedAfterMs } from "./cluster/engine.ts";
import type { Process } from "./cluster/engine.ts";
import type { Node } from "./cluster/ray.ts";
import type { Host, World } from "./world.ts";

/** How long what a dead head leaves behind lives on, known to nobody (measured with real Ray: up to 110 s). */
const orphansLiveMs = [200, 90_000] as const;

/** Each fault says what it did in the trace, and marks whose state the orchestrator may now be wrong about. */
export function crashProcess({ note }: World, process: Process): void {
  note(`FAULT ${process.name} exits`);
  process.wasHurt = true;
  process.die(1, null);
}

/** It stops answering, and ignores SIGTERM, until it recovers. */
export function hangProcess(
  { note, clock, cluster }: World,
  process: Process,
  forMs: number,
): void {
  note(`FAULT ${process.name} hangs for ${forMs} ms`);
  process.wasHurt = true;
  process.hungSinceMs ??= clock.nowMs();
  cluster.touchAfter(noticedAfterMs(process));
  clock.after(forMs, () => {
    process.hungSinceMs = undefined;
    cluster.touch();
  });
}

/** Its side channel is out of reach, which only those notice who ask for KV; and who is asked for it, by nobody. */
export function cutKv({ note, clock }: World, process: Process, forMs: number): void {
  note(`FAULT no KV gets in or out of ${process.name} for ${forMs} ms`);
  process.isKvDead = true;
  process.kvCutUntilMs = clock.nowMs() + forMs;
  clock.after(forMs, () => void (process.isKvDead = false));
}

/** The actor's process is killed, as the system does when memory runs out; Ray notices at once. */
export function killActor({ note, cluster }: World, name: string): void {
  note(`FAULT the actor ${name} is killed`);
  hurt([...cluster.engines, ...cluster.proxies], (process) => process.name === name);
  cluster.ray.kill(name, "SIGKILL");
}

/** A machine dies, or is cut off while everything on it goes on; and returns. */
export function loseNode(
  { note, clock, cluster, disturb }: World,
  node: Node,
  how: "silent" | "down",
  forMs: number,
): void {
  if (node.state !== "up") return;
  note(`FAULT ${node.id} is ${how} for ${forMs} ms`);
  disturb(forMs);
  hurt(cluster.engines, (engine) => engine.node === node);
  cluster.ray.lose(node, how);
  clock.after(forMs, () => {
    note(`${node.id} returns`);
    cluster.ray.returns(node);
  });
}

/** The head dies and its successor knows nothing. */
export function restartRay({ note, cluster, random, disturb }: World, downForMs: number): void {
  note(`FAULT Ray restarts empty within ${downForMs} ms`);
  disturb(downForMs);
  hurt([...cluster.engines, ...cluster.proxies], () => true);
  cluster.ray.restartEmpty(downForMs, () => random.between(...orphansLiveMs));
}

/** Nobody reaches Ray's tables for a while; they are all there afterwards. */
export function blockRay({ note, clock, cluster: { ray }, disturb }: World, forMs: number): void {
  if (!ray.isReachable()) return;
  note(`FAULT the GCS does not answer for ${forMs} ms`);
  disturb(forMs);
  ray.setReachable(false);
  clock.after(forMs, () => ray.setReachable(true));
}

export function killAgent({ note, disturb }: World, { agent, worker }: Host): void {
  note(`FAULT the agent of ${worker.name} dies`);
  disturb(0);
  agent.kill();
}

/** A worker dies with its agent; another one starts soon. */
export function killWorker(
  { note, clock, addHost, disturb }: World,
  { agent, worker }: Host,
): void {
  if (!worker.isAlive()) return;
  note(`FAULT ${worker.name} dies`);
  disturb(0);
  worker.kill();
  agent.kill();
  clock.after(2_000, () => void addHost());
}

/** SIGSTOP: its agent finishes what it was asked to do meanwhile. */
export function freezeWorker(
  { note, clock, disturb }: World,
  { worker }: Host,
  forMs: number,
): void {
  if (!worker.isAlive()) return;
  note(`FAULT ${worker.name} is frozen for ${forMs} ms`);
  disturb(forMs);
  worker.freeze(true);
  clock.after(forMs, () => worker.freeze(false));
}

/** Cut off from Temporal, it goes on with what others were meanwhile told to do. */
export function isolateWorker(
  { note, clock, disturb }: World,
  { worker }: Host,
  forMs: number,
): void {
  if (!worker.isAlive()) return;
  note(`FAULT ${worker.name} loses Temporal for ${forMs} ms`);
  disturb(forMs);
  worker.isolate(true);
  clock.after(forMs, () => worker.isolate(false));
}

export function stopTemporal({ note, clock, server, disturb }: World, forMs: number): void {
  if (!server.isUp()) return;
  note(`FAULT Temporal is down for ${forMs} ms`);
  disturb(forMs);
  server.setUp(false);
  clock.after(forMs, () => server.setUp(true));
}

export function jumpClock({ note }: World, { worker }: Host, byMs: number): void {
  note(`FAULT the clock of ${worker.name} jumps by ${byMs} ms`);
  worker.clockOffsetMs += byMs;
}

function hurt(processes: readonly Process[], isHit: (process: Process) => boolean): void {
  for (const process of processes) if (isAlive(process) && isHit(process)) process.wasHurt = true;
}
