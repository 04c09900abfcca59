import { PdjobError } from "../../../src/domain/errors.ts";
import type { Verb } from "../../../src/ray/contract.ts";
import type { VerbArgs } from "../../../src/ray/verbs.ts";
import type { Boundary } from "../agent.ts";
import { parseName } from "./names.ts";
import type { Cluster } from "./cluster.ts";
import { createProxyActor } from "./proxy.ts";
import type { Actor, Group, Node } from "./ray.ts";
import { createReplicaActor } from "./replica.ts";

/** One call to Ray's GCS. */
const stepMs = [1, 12] as const;
/** Calls hang until the agent itself notices that the GCS is gone. */
const unreachableMs = [500, 6_000] as const;
/** A connection to a dead machine's actor fails soon; a silent one costs the whole timeout. */
const downMs = 200;

const unreachable = (): PdjobError => new PdjobError("RayUnreachable", "The GCS does not answer.");

/** An actor's answer; `absent` when there is no such actor, `silent` when it did not answer in time. */
export type Answer = { readonly value: unknown } | "absent" | "silent";

export interface ClientSetup {
  /** The agent process died: nothing of it goes on. */
  readonly isDead: () => boolean;
  readonly boundary: Boundary;
  readonly verb: Verb;
  /** All its calls to the GCS take the time of one, and see the same moment. */
  readonly atOnce?: boolean;
}

/** agent/pdjob_agent/ray_cluster.py: each call takes time, is a point at which the agent can die, and may find the GCS gone. */
export function createRayClient(
  cluster: Cluster,
  { isDead, boundary, verb, atOnce = false }: ClientSetup,
) {
  const { clock, random, ray } = cluster;
  let hasArrived = false;

  /** Pending for ever once the agent is dead. This, and what calls it, is most of what a simulation does. */
  const pause = (delayMs: number): Promise<void> =>
    new Promise((resolve) => void clock.after(delayMs, () => void (isDead() || resolve())));

  function step(what: string): Promise<void> {
    boundary(`${verb}: ${what}`);
    if (atOnce && hasArrived) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const arrive = (): void => {
        if (isDead()) return;
        hasArrived = ray.isReachable();
        if (hasArrived) return resolve();
        clock.after(
          random.between(...unreachableMs),
          () => void (isDead() || reject(unreachable())),
        );
      };
      clock.after(random.between(...stepMs), arrive);
    });
  }

  /** One actor's answer, once the request has left. An actor that answers at once costs no event. */
  async function answerOf(
    name: string,
    method: string,
    args: readonly unknown[],
    timeoutMs: number,
  ): Promise<Answer> {
    const actor = ray.actors.get(name);
    if (!actor) return "absent";
    const silence = (): Promise<Answer> =>
      pause(actor.node.state === "down" ? downMs : timeoutMs).then(() => "silent" as const);
    if (actor.node.state !== "up") return silence();
    const answer = actor.process.call(method, args);
    const value = answer instanceof Promise ? await inTime(answer, timeoutMs) : answer;
    if (value === "silent" || (actor.node.state as Node["state"]) !== "up") return silence();
    return value === undefined ? "absent" : { value };
  }

  function inTime(answer: Promise<unknown>, timeoutMs: number): Promise<unknown> {
    return new Promise((resolve) => {
      const finish = (value: unknown): void => void (isDead() || resolve(value));
      const timer = clock.after(timeoutMs, () => finish("silent"));
      void answer.then((value) => {
        timer.cancel();
        finish(value);
      });
    });
  }

  async function ask(
    name: string,
    method: string,
    args: readonly unknown[],
    timeoutMs: number,
  ): Promise<Answer> {
    await step(`${method} of ${name}`);
    return answerOf(name, method, args, timeoutMs);
  }

  const nodes = () =>
    ray.nodes.map((node) => ({ id: node.id, isHead: node.isHead, ...ray.resources(node) }));

  const groups = (): readonly Group[] => [...ray.groups.values()];

  return {
    /** A point at which the agent can die. */
    async reach(what: string): Promise<void> {
      boundary(what);
      if (isDead()) await new Promise<never>(() => undefined);
    },
    session: ray.session,
    /** Beside a group in Ray's table. */
    schedulingState: ray.schedulingState,
    pause,
    nowMs: clock.nowMs,
    nodes: () => step("nodes").then(nodes),
    groups: () => step("groups").then(groups),
    /** One look at two tables: what changes between them nobody depends on. */
    groupsAndNodes: () =>
      step("groups and nodes").then(() => ({ groups: groups(), nodes: nodes() })),
    /** No error when somebody else was faster. */
    async createGroup(
      name: string,
      bundles: Group["bundles"],
      strategy: Group["strategy"],
    ): Promise<void> {
      await step(`create group ${name}`);
      if (!ray.groups.has(name))
        ray.addGroup({ name, bundles, strategy, state: "PENDING", nodes: [] });
    },
    /** Returns when they are gone. */
    async removeGroups(names: readonly string[]): Promise<void> {
      if (names.length === 0) return;
      await step(`remove ${names.length} groups`);
      for (const name of names) ray.removeGroup(name);
    },
    async actorNames(): Promise<readonly string[]> {
      await step("actor names");
      return [...ray.actors.keys()];
    },
    /** No error when it exists. Ray places it where its group is, dead or not. */
    async createReplica(args: VerbArgs["ensureReplica"]): Promise<void> {
      await step(`create ${args.name}`);
      if (ray.actors.has(args.name)) return;
      const group = ray.groups.get(args.placementGroup);
      const node = group?.nodes[args.bundle ?? 0];
      if (group?.state !== "CREATED" || !node)
        throw new PdjobError("PlacementPending", `${args.placementGroup} is not there any more.`);
      ray.addActor(
        node.state === "up"
          ? createReplicaActor(cluster, node, args)
          : unheard(node, args, () => createReplicaActor(cluster, node, args)),
      );
    },
    async createProxy(name: string, leaseS: number): Promise<void> {
      await step(`create ${name}`);
      const { job = "", generation = 0 } = parseName(name) ?? {};
      if (!ray.actors.has(name))
        ray.addActor(createProxyActor(cluster, ray.head(), { name, job, generation, leaseS }));
    },
    ask,
    /** Of many at once, within one timeout; actors that are gone are left out. */
    async askAll(
      names: readonly string[],
      method: string,
      args: readonly unknown[],
      timeoutMs: number,
    ) {
      await step(`${method} of ${names.length} actors`);
      const answers = await Promise.all(
        names.map(async (name) => ({
          name,
          answer: await answerOf(name, method, args, timeoutMs),
        })),
      );
      return answers.flatMap(({ name, answer }) =>
        answer === "absent"
          ? []
          : [{ name, value: answer === "silent" ? undefined : answer.value }],
      );
    },
    /** Returns when the names are free. */
    async kill(names: readonly string[]): Promise<void> {
      await step(`kill ${names.length} actors`);
      for (const name of names) ray.kill(name, "SIGKILL");
    },
  };
}

export type RayClient = ReturnType<typeof createRayClient>;

/** An actor that Ray wants to start on a node that does not hear it: until it does, it has a name and nothing else. */
const unheard = (
  node: Node,
  { name, placementGroup }: VerbArgs["ensureReplica"],
  begin: () => Actor,
): Actor => ({
  name,
  node,
  group: placementGroup,
  process: { call: () => new Promise<never>(() => undefined), end: () => undefined },
  begin,
});
