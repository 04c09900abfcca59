import { crashProcess } from "./faults.ts";
import type { Job } from "./job.ts";
import { liveEngines, liveProxies, replicaOf } from "./truth.ts";
import type { World } from "./world.ts";

/** A story of one job. Crash points are enumerated from `act` on, or from the very start when there is none. */
export interface Scenario {
  readonly name: string;
  readonly prefill: number;
  readonly decode: number;
  readonly historyEventsMax?: number;
  /** Folder that is handed to every node first. */
  readonly upload?: string;
  act?(world: World, job: Job): void;
  /** The first engine of this role does not come up. */
  readonly failsToBoot?: "prefill" | "decode";
  /** How the job ends without being told; absent when it goes on. */
  readonly ends?: "completed" | "cancelled" | "failed";
}

export const scenarios: readonly Scenario[] = [
  { name: "deploy", prefill: 1, decode: 1, upload: "/deploy" },
  {
    name: "scale up",
    prefill: 1,
    decode: 1,
    act: (_, job) => job.scale("decode", 2),
  },
  {
    name: "scale down under load",
    prefill: 1,
    decode: 2,
    act(world, job) {
      sendRequests(world, job, [3_000, 4_000, 90_000, 90_000]);
      world.clock.after(500, () => job.scale("decode", 1));
    },
  },
  {
    name: "heal a replica",
    prefill: 1,
    decode: 1,
    act: (world, job) => crashProcess(world, engineOf(world, job, "decode-0")),
  },
  {
    name: "restart a replica",
    prefill: 1,
    decode: 1,
    act: (_, job) => job.restart("decode-0"),
  },
  {
    name: "restart the proxy under load",
    prefill: 1,
    decode: 1,
    act(world, job) {
      sendRequests(world, job, [2_000, 6_000]);
      world.clock.after(500, () => job.restart("proxy"));
    },
  },
  {
    name: "heal the proxy",
    prefill: 1,
    decode: 1,
    act: (world, { spec }) =>
      liveProxies(world.cluster, spec.name).forEach((one) => crashProcess(world, one)),
  },
  {
    name: "continue as new while scaling",
    prefill: 1,
    decode: 1,
    historyEventsMax: 100,
    act(world, job) {
      job.scale("decode", 2);
      world.clock.after(45_000, () => job.scale("decode", 1));
    },
  },
  {
    name: "apply under load",
    prefill: 1,
    decode: 1,
    act(world, job) {
      sendRequests(world, job, [2_000, 6_000]);
      world.clock.after(500, () => job.apply(["decode"]));
    },
  },
  {
    name: "stop under load",
    prefill: 1,
    decode: 1,
    ends: "completed",
    act(world, job) {
      sendRequests(world, job, [2_000, 6_000]);
      world.clock.after(500, () => job.stop());
    },
  },
  {
    name: "cancel while deploying",
    prefill: 1,
    decode: 1,
    ends: "cancelled",
    act: (_, job) => {
      job.scale("prefill", 2);
      job.cancel();
    },
  },
  { name: "fail to start", prefill: 1, decode: 1, failsToBoot: "decode", ends: "failed" },
];

function engineOf({ cluster }: World, { spec }: Job, replica: string) {
  const engine = liveEngines(cluster, spec.name).find(({ name }) => replicaOf(name) === replica);
  if (!engine) throw new Error(`${replica} has no engine`);
  return engine;
}

function sendRequests({ cluster }: World, { spec }: Job, decodeMs: readonly number[]): void {
  for (const proxy of liveProxies(cluster, spec.name))
    for (const duration of decodeMs) proxy.traffic.send({ prefillMs: 100, decodeMs: duration });
}
