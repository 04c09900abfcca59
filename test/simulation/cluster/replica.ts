import { parseIncarnation } from "../../../src/domain/names.ts";
import type { EngineState, ObservedReplica } from "../../../src/domain/observed.ts";
import type { VerbResult } from "../../../src/ray/contract.ts";
import type { VerbArgs } from "../../../src/ray/verbs.ts";
import type { Cluster } from "./cluster.ts";
import { answers, bootIntervalMs, failuresMax, isAlive, probedState } from "./engine.ts";
import type { Process } from "./engine.ts";
import { removeUnusedGroups, startLease } from "./lease.ts";
import { refusal } from "./refusal.ts";
import type { Actor, Node } from "./ray.ts";

/** A new actor's process needs a moment before it answers. */
const actorStartMs = [100, 900] as const;
/** From SIGTERM to the end of a healthy engine. */
const shutdownMs = [50, 2_500] as const;
/** Both legs. */
const canaryMs = [10, 400] as const;
const lapseGraceS = 30;
/** A real rank 0 is healthy once every rank has joined. Here it does not wait, so the others are never late. */
const followerBootMaxMs = 4_000;

/** The actor that owns one generation of a replica: agent/pdjob_agent/node/replica_actor.py, on virtual time. */
export function createReplicaActor(
  cluster: Cluster,
  node: Node,
  { name, placementGroup, ports, leaseS }: VerbArgs["ensureReplica"],
): Actor {
  const { clock, random, ray } = cluster;
  const {
    job = "",
    role = "prefill",
    index = 0,
    generation = 0,
    rank = 0,
  } = parseIncarnation(name) ?? {};
  const held = Object.fromEntries(
    [{ name: "http", span: 1 }, ...ports].map((port) => [port.name, cluster.nextPort()]),
  );
  let isReady = false;
  const ready = clock.sleep(random.between(...actorStartMs)).then(() => {
    isReady = true;
  });
  let isGone = false;
  let engine: Process | undefined;
  let specHash: string | undefined;
  let labels: VerbArgs["startEngine"]["labels"] = {};
  const lease = startLease(clock, leaseS, () => void lapse());

  function status(renewS?: number): ObservedReplica {
    if (renewS !== undefined) lease.renew(renewS);
    const state = engine ? stateOf(engine) : "idle";
    return {
      name,
      role,
      index,
      generation,
      ...(rank > 0 ? { rank } : {}),
      state,
      endpoint: { host: node.ip, ports: held },
      nodeId: node.id,
      ...(engine ? { pid: 1, startedAtMs: engine.startedAtMs } : {}),
      ...(specHash === undefined ? {} : { specHash, ...labels }),
      ...(engine?.exit ? { exit: engine.exit } : {}),
      ...(state === "exited" || state === "unhealthy" ? { logTail: "its last words" } : {}),
    };
  }

  /** Nobody asks a follower over HTTP: its health is its process. */
  const stateOf = (process: Process): EngineState =>
    rank > 0 && !process.exit ? "healthy" : probedState(process, clock.nowMs());

  function startEngine(
    hash: string,
    probe: VerbArgs["startEngine"]["probe"],
    told: VerbArgs["startEngine"]["labels"],
  ) {
    if (specHash !== undefined && specHash !== hash)
      return refusal("StaleGeneration", `${name} already runs another command.`);
    if (engine) return status();
    specHash = hash;
    labels = told ?? {};
    const drawn = cluster.nextBoot(job, role);
    const latestMs = rank > 0 ? followerBootMaxMs : Infinity;
    const boot = { ...drawn, takesMs: Math.min(drawn.takesMs, latestMs) };
    const process: Process = {
      name,
      job,
      node,
      session: ray.session(),
      port: held["http"] ?? 0,
      ...told,
      startedAtMs: clock.nowMs(),
      servesFromMs: boot.fails ? Infinity : clock.nowMs() + boot.takesMs,
      probe: {
        intervalMs: (probe?.intervalS ?? 0) * 1_000,
        timeoutMs: (probe?.timeoutS ?? 0) * 1_000,
        failures: probe?.failures ?? failuresMax,
      },
      die(code, signal) {
        if (process.exit) return;
        process.exit = { code, signal, atMs: clock.nowMs() };
        cluster.emit({ kind: "engineEnded", process });
      },
    };
    engine = process;
    cluster.engines.push(process);
    cluster.emit({ kind: "engineStarted", process, ports: Object.values(held) });
    if (boot.fails) clock.after(boot.takesMs, () => process.die(1, null));
    else cluster.touchAfter(boot.takesMs + bootIntervalMs);
    return status();
  }

  /** agent/pdjob_agent/node/canary.py: to the prefill engine behind that address, and back to this one. */
  async function canary({
    prefill,
    timeoutS,
  }: VerbArgs["canary"]): Promise<VerbResult<"canary"> | undefined> {
    const other = cluster.engines.findLast(
      (one) => isAlive(one) && prefill.url === `http://${one.node.ip}:${one.port}`,
    );
    const failed = { passed: false, message: "it was not to be" } as const;
    if (!other || !engine || !isAlive(engine)) return { ...failed, stage: "reach", how: "failed" };
    const isSilent = [other, engine].some((one) => !answers(one, clock.nowMs()));
    await clock.sleep(
      isSilent || other.node.state !== "up" ? timeoutS * 1_000 : random.between(...canaryMs),
    );
    if (isGone) return undefined;
    if (isSilent) return { ...failed, stage: "decode", how: "late" };
    if (!isAlive(other) || !isAlive(engine)) return { ...failed, stage: "decode", how: "failed" };
    if (other.isKvDead || engine.isKvDead) {
      // What was proven before is not to be blamed, and any other may be.
      for (const one of [other, engine]) if (!one.isProven) one.wasHurt = true;
      return { ...failed, stage: "kv", how: "wrong" };
    }
    for (const one of [other, engine]) one.isProven = true;
    cluster.emit({ kind: "canary", process: engine, prefill: other });
    return { passed: true };
  }

  /** SIGTERM, which a hung engine does not hear, then SIGKILL after the grace. */
  async function stop(graceS: number, by: string): Promise<boolean> {
    if (!engine || !isAlive(engine)) return true;
    cluster.emit({ kind: "engineAsked", process: engine, by });
    const graceMs = graceS * 1_000;
    const needsMs = engine.hungSinceMs === undefined ? random.between(...shutdownMs) : Infinity;
    await clock.sleep(Math.min(graceMs, needsMs));
    if (needsMs <= graceMs) engine.die(0, null);
    else engine.die(null, "SIGKILL");
    return true;
  }

  /** Gives the GPUs back too; a node that is cut off can only end its own processes. */
  async function lapse(): Promise<void> {
    if (isGone) return;
    await stop(lapseGraceS, "lease");
    if (isGone) return;
    if (node.state === "up" && ray.actors.get(name) === actor) {
      removeUnusedGroups(ray, job);
      ray.removeGroup(placementGroup);
      ray.kill(name, "lease");
    }
    gone("lease");
  }

  function gone(why: string): void {
    if (isGone) return;
    isGone = true;
    lease.end();
    engine?.die(null, why);
  }

  function perform(method: string, args: readonly unknown[]): unknown {
    if (isGone) return undefined;
    if (method === "status") return status(args[0] as number | undefined);
    if (method === "stop") return stop(args[0] as number, args[1] as string);
    if (method === "start_engine")
      return startEngine(
        args[0] as string,
        args[1] as VerbArgs["startEngine"]["probe"],
        args[2] as VerbArgs["startEngine"]["labels"],
      );
    if (method === "canary") return canary(args[0] as VerbArgs["canary"]);
    if (method === "load") return { name, requests: null };
    if (method === "read_log") return { text: "its last words", offset: 0, size: 14 };
    throw new Error(`a replica's actor has no method ${method}`);
  }

  const actor: Actor = {
    name,
    node,
    group: placementGroup,
    process: {
      call: (method, args) =>
        isReady ? perform(method, args) : ready.then(() => perform(method, args)),
      end: gone,
    },
  };
  return actor;
}
