import { createActivities } from "../../src/activities/index.ts";
import type { Turn, TurnInput } from "../../src/activities/turn.ts";
import { workflowIdOf } from "../../src/domain/names.ts";
import type { Observed } from "../../src/domain/observed.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import type { JobInput } from "../../src/workflows/messages.ts";
import { PDJobWorkflow } from "../../src/workflows/pdjob.ts";
import { createAgent } from "./agent.ts";
import type { Agent, Boundary } from "./agent.ts";
import { createClock } from "./clock.ts";
import type { Clock } from "./clock.ts";
import type { Cluster, ClusterEvent } from "./cluster/cluster.ts";
import type { Boot } from "./cluster/engine.ts";
import { createRay } from "./cluster/ray.ts";
import type { Node } from "./cluster/ray.ts";
import { createIdling } from "./idle.ts";
import { createJob } from "./job.ts";
import { looksAgainMs } from "./looks.ts";
import type { Job } from "./job.ts";
import { allOracles } from "./oracles/all.ts";
import type { Oracle, Violation } from "./oracles/oracle.ts";
import { createRandom } from "./random.ts";
import type { Random } from "./random.ts";
import { currentAttempt } from "./temporal/activity.ts";
import type { OnTask } from "./temporal/activities.ts";
import { createServer } from "./temporal/server.ts";
import type { Server } from "./temporal/server.ts";
import { createWorker } from "./temporal/worker.ts";
import type { Worker } from "./temporal/worker.ts";
import { isInTables } from "./truth.ts";

/** A Tuesday. */
const startMs = 1_800_000_000_000;
const bootMs = [300, 4_000] as const;
const firstPort = 20_000;
/** After a disturbance: a heartbeat is missed, looks that failed are tried again after a minute at most. */
const recoversMs = 75_000;

export interface WorldSetup {
  readonly seed: number;
  /** GPUs of each node; the first is the head. */
  readonly gpus?: readonly number[];
  readonly workers?: number;
  readonly boundary?: Boundary;
  readonly historyEventsMax?: number;
}

/** A worker with the agent that is its child. */
export interface Host {
  readonly worker: Worker;
  readonly agent: Agent;
}

/** Everything there is: Temporal, workers with their agents, a Ray cluster, and the real code between them. */
export interface World {
  readonly clock: Clock;
  readonly random: Random;
  readonly server: Server;
  readonly cluster: Cluster;
  readonly hosts: readonly Host[];
  readonly jobs: ReadonlyMap<string, Job>;
  /** When the leases of a job were last renewed. */
  readonly watchedAtMs: ReadonlyMap<string, number>;
  /** Whoever looks after jobs may be hindered until then. */
  disturbedUntilMs(): number;
  /** Something comes between them and what they look after, for so long. */
  disturb(forMs: number): void;
  /** Boots that differ from the usual, by `job/role`; each is used once. */
  readonly boots: Map<string, Boot[]>;
  readonly violations: readonly Violation[];
  /** What happened, newest last; for whoever has to understand a failing seed. */
  readonly trace: readonly string[];
  start(spec: JobSpec): Job | undefined;
  addHost(): Host;
  note(text: string): void;
  violate(oracle: string, message: string): void;
  /** Lets time pass until `done` says so or something was violated; false when `forMs` went by without. */
  run(forMs: number, done?: () => boolean): Promise<boolean>;
}

export function createWorld(setup: WorldSetup): World {
  const { seed, gpus = [0, 8, 8], boundary = () => undefined, historyEventsMax } = setup;
  const random = createRandom(seed);
  const clock = createClock(startMs);
  const { touch, touchAfter, pause, touches } = createIdling(clock);
  const violations: Violation[] = [];
  const trace: string[] = [];
  const oracles: Oracle[] = [];
  const jobs = new Map<string, Job>();
  const watchedAtMs = new Map<string, number>();
  let disturbedUntilMs = -Infinity;
  /** By job: what its newest plan is made of. */
  const seen = new Map<string, Observed>();
  const boots = new Map<string, Boot[]>();
  const hosts: Host[] = [];
  const server = createServer(clock, random, onTask);
  const cluster = createCluster();

  const note = (text: string): void => {
    trace.push(`${((clock.nowMs() - startMs) / 1_000).toFixed(3)} ${text}`);
  };
  function violate(oracle: string, message: string): void {
    note(`VIOLATED ${oracle}: ${message}`);
    violations.push({ oracle, message, atMs: clock.nowMs() - startMs });
  }
  function consult(ask: (oracle: Oracle) => string | undefined): void {
    for (const oracle of oracles) {
      const message = ask(oracle);
      if (message !== undefined) violate(oracle.name, message);
    }
  }
  function onTask(...[task, change]: Parameters<OnTask>): void {
    consult((oracle) => oracle.onTask?.(task, change));
    if (task.type !== "planTurn" && task.type !== "watchJob") note(`${change} ${task.type}`);
  }

  function createCluster(): Cluster {
    let port = firstPort;
    const nodes = gpus.map((count, index): Node => ({
      id: `node-${index}`,
      ip: `10.0.0.${index + 1}`,
      gpus: count,
      isHead: index === 0,
      state: "up",
      isDead: false,
    }));
    const made: Cluster = {
      clock,
      random,
      touch,
      touchAfter,
      ray: createRay(clock, random, nodes, touch),
      engines: [],
      proxies: [],
      nextBoot: (job, role) =>
        boots.get(`${job}/${role}`)?.shift() ?? { takesMs: random.between(...bootMs) },
      nextPort: () => port++,
      emit(event) {
        if (event.kind !== "routed") touch();
        if (event.kind === "engineEnded")
          for (const proxy of made.proxies) proxy.traffic.lost(event.process);
        if (event.kind !== "routed") note(describe(event));
        consult((oracle) => oracle.onEvent?.(event));
      },
    };
    return made;
  }

  /** Renewal and plans are seen where the activity meets the agent. */
  function addHost(): Host {
    const agent = createAgent(cluster, boundary);
    const activities = createActivities({
      agent: watched(agent),
      readProxyProgram: async () => "",
    });
    const worker: Worker = createWorker({
      name: `worker-${hosts.length}`,
      clock,
      performers: withBoundaries(
        { ...activities, planTurn: checked(activities.planTurn) },
        async (what) => {
          boundary(what);
          // It may have died or been stopped there.
          const attempt = currentAttempt();
          await new Promise<void>((resolve) => worker.goOn(attempt, resolve));
        },
      ),
      pause: (attempt, tickMs, event) => {
        const atLatestMs = looksAgainMs(attempt, clock.nowMs());
        if (atLatestMs === undefined) return clock.after(tickMs, event);
        return pause({ tickMs, lookedAtMs: attempt.awakeSinceMs, atLatestMs }, event);
      },
      serverIsUp: server.isUp,
      onSilent: server.missed,
      onConnected: server.workerCame,
    });
    const host = { worker, agent };
    hosts.push(host);
    server.addWorker(worker);
    return host;
  }

  const watched = (agent: Agent): Agent => ({
    ...agent,
    call: async (verb, args, options) => {
      const askedAtMs = clock.nowMs();
      const result = await agent.call(verb, args, options);
      if (verb === "list" && "job" in args && "leaseS" in args)
        watchedAtMs.set(args.job, askedAtMs);
      if (verb === "list" && "job" in args && "nodes" in args)
        seen.set(args.job, result as Observed);
      return result;
    },
  });

  const checked =
    (planTurn: (input: TurnInput) => Promise<Turn>) =>
    async (input: TurnInput): Promise<Turn> => {
      const before = touches();
      const turn = await planTurn(input);
      const job = jobs.get(input.spec.name);
      const isUndisturbed = touches() === before;
      job?.sawNow(input.spec);
      if (job && input.memory.served) job.hasServed = true;
      if (job && Object.keys(input.memory.generations).length > 0) job.hasBegun = true;
      const observed = seen.get(input.spec.name);
      if (job && observed)
        consult((oracle) => oracle.onTurn?.({ job, input, turn, observed, isUndisturbed }));
      return turn;
    };

  const world: World = {
    clock,
    random,
    server,
    cluster,
    hosts,
    jobs,
    watchedAtMs,
    disturbedUntilMs: () => disturbedUntilMs,
    disturb: (forMs) =>
      void (disturbedUntilMs = Math.max(disturbedUntilMs, clock.nowMs() + forMs + recoversMs)),
    boots,
    violations,
    trace,
    addHost,
    note,
    violate,
    start(spec) {
      const input: JobInput = {
        spec,
        ...(historyEventsMax === undefined ? {} : { historyEventsMax }),
      };
      const execution = server.start(workflowIdOf(spec.name), PDJobWorkflow, input);
      if (!execution) return undefined;
      for (const oracle of oracles)
        oracle.onStart?.(spec.name, (name) => !isInTables(cluster, name));
      const job = createJob(spec, execution, { server, clock, before: jobs.get(spec.name) });
      jobs.set(spec.name, job);
      return job;
    },
    async run(forMs, done = () => false) {
      const isOver = await clock.run(clock.nowMs() + forMs, () => violations.length > 0 || done());
      return isOver && violations.length === 0;
    },
  };
  oracles.push(...allOracles.map((make) => make(world)));
  for (let count = 0; count < (setup.workers ?? 1); count++) addHost();
  return world;
}

type Performers = Parameters<typeof createWorker>[0]["performers"];

/** A worker can also die when it was given an activity, and when it has done it but not yet said so. */
function withBoundaries(
  performers: Performers,
  reach: (what: string) => Promise<void>,
): Performers {
  const entries = Object.entries(performers).map(([type, perform]) => {
    if (type === "watchJob" || type === "planTurn") return [type, perform] as const;
    const run = async (input: never): Promise<unknown> => {
      await reach(`${type} begins`);
      const result = await perform(input);
      await reach(`${type} ends`);
      return result;
    };
    return [type, run] as const;
  });
  return Object.fromEntries(entries);
}

function describe(event: ClusterEvent): string {
  const by = "by" in event ? ` by ${event.by}` : "";
  const members =
    event.kind === "membership"
      ? ` ${event.after.generation}: ${event.after.members.map(({ name }) => name).join(" ")}`
      : "";
  return `${event.kind} ${event.process.name}${by}${members}`;
}
