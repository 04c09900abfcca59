import { PdjobError, isErrorCode } from "../../../src/domain/errors.ts";
import type {
  ObservedPlacementGroup,
  ObservedProxy,
  ObservedReplica,
  OtherGroup,
} from "../../../src/domain/observed.ts";
import type { Bundle } from "../../../src/domain/spec.ts";
import type { Verb, VerbResult } from "../../../src/ray/contract.ts";
import type { VerbArgs } from "../../../src/ray/verbs.ts";
import type { RayClient } from "./client.ts";
import { parseName } from "./names.ts";
import type { Name } from "./names.ts";
import type { Group } from "./ray.ts";
import { fence, fenceProxy, replicaName, stopProxy, stopReplica, sweep } from "./removal.ts";

// agent/pdjob_agent/verbs.py and proxy_verbs.py, line for line: the same order of the same calls, because it is between them that
// somebody dies.
const statusTimeoutMs = 2_000;
const firstAnswerTimeoutMs = 25_000;
const proxyPollMs = 50;
const proxyWaitMs = 5_000;
const membershipTimeoutMs = 5_000;
const canaryMarginMs = 5_000;
/** A task's process, and the engine's command in it. */
const probeMs = 1_000;

type Verbs = {
  readonly [V in Verb]: (ray: RayClient, args: VerbArgs[V]) => Promise<VerbResult<V>>;
};

/** Typed by the contract: a new verb fails the type check until it is simulated. */
export const verbs: Verbs = {
  ping: async (ray) => hello(ray),
  nodes: async (ray) => ({ nodes: [...(await ray.nodes())] }),

  async probeEngine(ray) {
    await ray.reach("task");
    await ray.pause(probeMs);
    return { code: 0, output: "0.32.0\n" };
  },

  async ensurePlacementGroup(ray, { name: full, bundles, strategy, graceS, mustExist }) {
    const name = replicaName(full);
    if (mustExist && !(await findGroup(ray, full)))
      throw new PdjobError("PlacementPending", `Placement group ${full} is gone.`);
    await fence(ray, name, graceS);
    if (!(await findGroup(ray, full))) {
      const fallback = bundles.length === 1 ? "STRICT_PACK" : "SPREAD";
      await ray.createGroup(full, plain(bundles), strategy ?? fallback);
    }
    const group = await findGroup(ray, full);
    if (!group)
      throw new PdjobError("RayUnreachable", `Placement group ${full} is not visible yet.`);
    if (JSON.stringify(group.bundles) !== JSON.stringify(bundles))
      throw new PdjobError("StaleGeneration", `Placement group ${full} exists with other bundles.`);
    return shown(ray, group);
  },
  async removePlacementGroup(ray, { name }) {
    if (!(await findGroup(ray, name))) return { removed: false };
    await ray.removeGroups([name]);
    return { removed: true };
  },

  async ensureReplica(ray, args) {
    const name = replicaName(args.name);
    await fence(ray, name, args.graceS);
    if (!(await ray.actorNames()).includes(name.full)) {
      const group = await findGroup(ray, args.placementGroup);
      if (group?.state !== "CREATED")
        throw new PdjobError(
          "PlacementPending",
          `Placement group ${args.placementGroup} is ${group?.state ?? "ABSENT"}.`,
        );
      await ray.createReplica(args);
    }
    return answerOf<ObservedReplica>(ray, name.full, "status", [], firstAnswerTimeoutMs);
  },
  startEngine: (ray, { name, specHash, probe, labels }) =>
    answerOf<ObservedReplica>(
      ray,
      name,
      "start_engine",
      [specHash, probe, labels],
      firstAnswerTimeoutMs,
    ),
  async replicaStatus(ray, { name: full }) {
    const name = replicaName(full);
    if (!(await ray.actorNames()).includes(full)) return { name: full, state: "absent" };
    const answer = await ray.ask(full, "status", [], statusTimeoutMs);
    return typeof answer === "string" ? lostReplica(name) : (answer.value as ObservedReplica);
  },
  // Asked of engines behind external proxies alone, which are not simulated.
  engineLoad: async (ray, { name }) => {
    const answer = await ray.ask(name, "load", [], statusTimeoutMs);
    return typeof answer === "string"
      ? { name, requests: null }
      : (answer.value as VerbResult<"engineLoad">);
  },
  canary: (ray, args) =>
    answerOf<VerbResult<"canary">>(
      ray,
      args.name,
      "canary",
      [args],
      args.timeoutS * 1_000 + canaryMarginMs,
    ),
  stopReplica: (ray, args) => stopReplica(ray, args.name, args.graceS),

  async ensureProxy(ray, args) {
    const name = parseName(args.name);
    if (!name || name.replica)
      throw new PdjobError("SpecInvalid", `${args.name} is no proxy's name.`);
    if (args.mustExist && !(await ray.actorNames()).includes(name.full))
      throw new PdjobError(
        "ClusterChanged",
        `The proxy's actor ${name.full} is gone.\nNext: pdjob-client status ${name.job} --watch tells how it heals.`,
      );
    const sockets = await fenceProxy(ray, name, args);
    if (!(await ray.actorNames()).includes(name.full))
      await ray.createProxy(name.full, args.leaseS);
    const started = await answerOf<ObservedProxy>(
      ray,
      name.full,
      "start",
      [{ ...args, sockets }],
      firstAnswerTimeoutMs,
    ).catch(async (error: PdjobError) => {
      if (error.code === "ProxyNotStarted") await ray.kill([name.full]);
      throw error;
    });
    return comeUp(ray, started, args.startTimeoutS - (args.elapsedS ?? 0));
  },
  /** Only a proxy that lives and does not answer is worth another try. */
  async setMembership(ray, { name, membership }) {
    const args = [membership];
    return answerOf<{ acknowledged: number }>(
      ray,
      name,
      "set_membership",
      args,
      membershipTimeoutMs,
    ).catch(async (error: PdjobError) => {
      if (error.code === "RayUnreachable" && !(await ray.actorNames()).includes(name))
        throw new PdjobError("ProxyExited", `The proxy's actor ${name} is gone.`);
      throw error;
    });
  },
  async retireProxy(ray, { name }) {
    if (!(await ray.actorNames()).includes(name)) return { retired: false };
    return answerOf<{ retired: boolean }>(ray, name, "retire", [], membershipTimeoutMs);
  },
  stopProxy: (ray, args) => stopProxy(ray, args.name, args.graceS),

  async list(ray, { job, leaseS, nodes }) {
    const names = (await ray.actorNames()).flatMap((full) => parseName(full) ?? []);
    const own = names.filter((name) => name.job === job);
    const answers = await ray.askAll(
      own.map(({ full }) => full),
      "status",
      leaseS === undefined ? [] : [leaseS],
      statusTimeoutMs,
    );
    const of = new Map(answers.map(({ name, value }) => [name, value]));
    const present = own.filter(({ full }) => of.has(full));
    const seen = nodes ? await ray.groupsAndNodes() : { groups: await ray.groups() };
    const groups = seen.groups.filter(({ name }) => parseName(name)?.job === job);
    const statusOf = (name: Name) => of.get(name.full) ?? lost(name);
    return {
      session: ray.session(),
      placementGroups: groups.map((group) => shown(ray, group)),
      replicas: present.filter(({ replica, rank }) => replica && rank === 0).map(statusOf),
      proxies: present.filter(({ replica }) => !replica).map(statusOf),
      followers: present.filter(({ rank }) => rank > 0).map(statusOf),
      ...("nodes" in seen ? { nodes: seen.nodes, groupsOfOthers: ofOthers(seen.groups, job) } : {}),
    } as VerbResult<"list">;
  },
  async jobs(ray) {
    const found = (await ray.actorNames()).flatMap((full) => parseName(full) ?? []);
    // By whole names, so that a gang counts once, whichever of its ranks are left.
    const actors = [...new Set(found.map(({ whole }) => whole))];
    const groups = (await ray.groups()).map(({ name }) => name);
    const names = [...actors, ...groups].flatMap((full) => parseName(full) ?? []);
    const count = (list: readonly string[], job: string, isReplica: boolean): number =>
      list.filter((full) => {
        const name = parseName(full);
        return name?.job === job && (name.replica !== undefined) === isReplica;
      }).length;
    const jobs = [...new Set(names.map(({ job }) => job))].toSorted();
    return {
      jobs: jobs.map((job) => ({
        job,
        replicas: count(actors, job, true),
        placementGroups: count(groups, job, true),
        proxies: count(actors, job, false),
      })),
    };
  },
  async logs(ray, { name, offset, maxBytes }) {
    const call = [offset, maxBytes];
    return answerOf<VerbResult<"logs">>(ray, name, "read_log", call, statusTimeoutMs * 3);
  },
  async logFile(_ray, { name }) {
    throw new PdjobError("LogNotFound", `There are no disks here, so there is no log of ${name}.`);
  },
  async checkHead(ray) {
    const head = (await ray.nodes()).find(({ isHead, alive }) => isHead && alive);
    if (head) return { ip: head.ip };
    throw new PdjobError("RayUnreachable", "The cluster has no head node that is alive.");
  },
  async upload(ray, { package: wanted }) {
    await ray.nodes();
    return { package: wanted ?? "gcs://_ray_pkg_0.zip" };
  },
  sweep: (ray, { job, dryRun }) => sweep(ray, job, dryRun),
};

/** Waits a little; whoever still wants the proxy asks again. */
async function comeUp(
  ray: RayClient,
  started: ObservedProxy,
  leftS: number,
): Promise<VerbResult<"ensureProxy">> {
  const untilMs = ray.nowMs() + Math.min(leftS * 1_000, proxyWaitMs);
  let status = started;
  while (status.state === "starting" && ray.nowMs() < untilMs) {
    await ray.pause(proxyPollMs);
    status = await answerOf<ObservedProxy>(ray, started.name, "status", [], firstAnswerTimeoutMs);
  }
  if (status.state === "exited") throw new PdjobError("ProxyExited", "The proxy exited.");
  if (status.state === "starting" && leftS * 1_000 <= proxyWaitMs)
    throw new PdjobError("ProxyTimeout", "The proxy did not answer.");
  return status as VerbResult<"ensureProxy">;
}

async function answerOf<T>(
  ray: RayClient,
  name: string,
  method: string,
  args: readonly unknown[],
  timeoutMs: number,
): Promise<T> {
  const answer = await ray.ask(name, method, args, timeoutMs);
  if (typeof answer === "string")
    throw new PdjobError(
      "RayUnreachable",
      `Actor ${name} does not exist or did not answer ${method}.`,
    );
  const value = answer.value as {
    readonly error?: { readonly code: string; readonly message: string };
  };
  if (value.error)
    throw new PdjobError(
      isErrorCode(value.error.code) ? value.error.code : "SpecInvalid",
      value.error.message,
    );
  return value as T;
}

const findGroup = async (ray: RayClient, wanted: string) =>
  (await ray.groups()).find(({ name }) => name === wanted);

function shown(ray: RayClient, group: Group) {
  const schedulingState = ray.schedulingState(group);
  return {
    name: group.name,
    state: group.state,
    nodeIps: group.nodes.map(({ ip }) => ip),
    bundles: group.bundles.map((bundle) => ({ ...bundle })),
    ...(schedulingState === undefined ? {} : { schedulingState }),
  } satisfies ObservedPlacementGroup;
}

const ofOthers = (groups: readonly Group[], job: string): readonly OtherGroup[] =>
  groups
    .filter(({ name, state }) => state === "CREATED" && parseName(name)?.job !== job)
    .map(({ name, bundles }) => ({
      name,
      GPU: bundles.reduce((sum, { GPU = 0 }) => sum + GPU, 0),
      CPU: 0,
    }));

const plain = (bundles: readonly Bundle[]): readonly Readonly<Record<string, number>>[] =>
  bundles.map((bundle) => ({ ...bundle }));

/** An actor that has a name and gives no answer. */
const lost = ({ full, replica, generation, rank }: Name) => ({
  name: full,
  ...replica,
  generation,
  ...(rank > 0 ? { rank } : {}),
  state: "lost" as const,
});

const lostReplica = (name: Name) => ({
  ...lost(name),
  role: name.replica?.role ?? "prefill",
  index: name.replica?.index ?? 0,
});

const hello = (ray: RayClient) => ({
  protocol: 1 as const,
  rayVersion: "2",
  pythonVersion: "3",
  session: ray.session(),
  nodeIp: "10.0.0.1",
});
