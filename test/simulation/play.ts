import { isAlive } from "./cluster/engine.ts";
import type { Process } from "./cluster/engine.ts";
import {
  blockRay,
  crashProcess,
  cutKv,
  freezeWorker,
  hangProcess,
  isolateWorker,
  jumpClock,
  killActor,
  killAgent,
  killWorker,
  loseNode,
  restartRay,
  stopTemporal,
} from "./faults.ts";
import type { Job } from "./job.ts";
import { wantedIds } from "./job.ts";
import { replicaName } from "../../src/domain/names.ts";
import type { Schedule, Step } from "./schedule.ts";
import { settle, tearDown } from "./settle.ts";
import { isOutOfReach } from "./truth.ts";
import { createWorld } from "./world.ts";
import type { World } from "./world.ts";

/** The last step, and whatever goes wrong because of it, is over by then. */
const aftermathMs = 95_000;

/** Plays a schedule to its end: every job at rest, then every job ended. Answers with what was violated, if anything. */
export async function play(schedule: Schedule, alter?: (world: World) => void): Promise<World> {
  const { seed, gpus, workers, historyEventsMax, jobs, steps } = schedule;
  const world = createWorld({
    seed,
    gpus,
    workers,
    ...(historyEventsMax === undefined ? {} : { historyEventsMax }),
  });
  alter?.(world);
  for (const spec of jobs) world.start(spec);
  for (const { atMs, step } of steps) world.clock.after(atMs, () => perform(world, schedule, step));
  await world.run((steps.at(-1)?.atMs ?? 0) + aftermathMs);
  if (world.violations.length === 0) await settle(world);
  if (world.violations.length === 0) await tearDown(world);
  return world;
}

function perform(world: World, { jobs }: Schedule, step: Step): void {
  const { cluster, hosts, server } = world;
  const jobAt = (index: number): Job | undefined => world.jobs.get(jobs[index]?.name ?? "");
  const hostAt = (at: number) =>
    pick(
      hosts.filter(({ worker }) => worker.isAlive()),
      at,
    );
  const engineAt = (at: number): Process | undefined =>
    pick(
      cluster.engines.filter((engine) => isAlive(engine) && !isOutOfReach(engine, cluster)),
      at,
    );
  const proxy = cluster.proxies.find((one) => isAlive(one) && !isOutOfReach(one, cluster));
  switch (step.kind) {
    case "scale":
    case "restart":
    case "apply":
    case "undo":
    case "lease":
    case "stop":
    case "cancel":
    case "terminate": {
      const job = jobAt(step.job);
      // A client cannot reach a server that is down: it tries again later, which is another schedule.
      if (job?.execution.status !== "running" || !server.isUp()) return;
      world.note(`ASKED ${JSON.stringify(step)}`);
      return ask(job, step);
    }
    case "startAgain": {
      const spec = jobs[step.job];
      if (spec && server.isUp()) world.start(spec);
      return;
    }
    case "requests":
      for (const one of cluster.proxies)
        if (one.job === jobs[step.job]?.name && isAlive(one) && one.retiredAtMs === undefined)
          for (const decodeMs of step.decodeMs) one.traffic.send({ prefillMs: 200, decodeMs });
      return;
    case "boot":
      world.boots.set(`${jobs[step.job]?.name}/${step.role}`, [
        { takesMs: step.takesMs, fails: step.fails },
      ]);
      return;
    case "engineExits":
      return given(engineAt(step.at), (engine) => crashProcess(world, engine));
    case "actorDies":
      return given(engineAt(step.at), ({ name }) => killActor(world, name));
    case "engineHangs":
      return given(engineAt(step.at), (engine) => hangProcess(world, engine, step.forMs));
    case "kvCut":
      return given(engineAt(step.at), (engine) => cutKv(world, engine, step.forMs));
    case "proxyExits":
      return given(proxy, (one) => crashProcess(world, one));
    case "proxyActorDies":
      return given(proxy, ({ name }) => killActor(world, name));
    case "proxyHangs":
      return given(proxy, (one) => hangProcess(world, one, step.forMs));
    case "nodeDown":
    case "nodeSilent": {
      const how = step.kind === "nodeDown" ? "down" : "silent";
      const others = cluster.ray.nodes.filter(({ isHead }) => !isHead);
      return given(pick(others, step.at), (node) => loseNode(world, node, how, step.forMs));
    }
    case "rayRestarts":
      return restartRay(world, Math.min(step.forMs, 20_000));
    case "rayBlocked":
      return blockRay(world, step.forMs);
    case "temporalDown":
      return stopTemporal(world, step.forMs);
    case "agentDies":
      return given(hostAt(step.at), (host) => killAgent(world, host));
    case "workerDies":
      return given(hostAt(step.at), (host) => killWorker(world, host));
    case "workerFrozen":
      return given(hostAt(step.at), (host) => freezeWorker(world, host, step.forMs));
    case "workerIsolated":
      return given(hostAt(step.at), (host) => isolateWorker(world, host, step.forMs));
    case "clockJumps":
      return given(hostAt(step.at), (host) => jumpClock(world, host, step.byMs));
  }
}

type Wish = Extract<
  Step,
  {
    readonly kind:
      | "scale"
      | "restart"
      | "apply"
      | "undo"
      | "lease"
      | "stop"
      | "cancel"
      | "terminate";
  }
>;

function ask(job: Job, step: Wish): void {
  switch (step.kind) {
    case "scale":
      return job.scale(step.role, step.replicas);
    case "restart":
      return given(pick([...wantedIds(job).map(replicaName), "proxy"], step.at), (name) =>
        job.restart(name),
      );
    case "apply":
      return job.apply(step.changed);
    case "undo":
      return job.undo();
    case "lease":
      return job.lease(step.leaseS);
    case "stop":
      return job.stop();
    case "cancel":
      return job.cancel();
    case "terminate":
      return job.terminate();
  }
}

const pick = <T>(list: readonly T[], at: number): T | undefined => list[at % list.length];

const given = <T>(value: T | undefined, use: (value: T) => void): void => {
  if (value !== undefined) use(value);
};
