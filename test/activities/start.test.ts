import { MockActivityEnvironment } from "@temporalio/testing";
import { readFileSync, readdirSync } from "node:fs";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createActivities } from "../../src/activities/index.ts";
import { planOf } from "../../src/cli/plan.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { incarnationName, parseIncarnation, replicaName } from "../../src/domain/names.ts";
import type { Member } from "../../src/domain/observed.ts";
import { roles } from "../../src/domain/role.ts";
import type { ReplicaId } from "../../src/domain/role.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { memberOf } from "../../src/plan/world.ts";
import type { Agent } from "../../src/ray/agent.ts";
import type { VerbArgs } from "../../src/ray/verbs.ts";
import { makeSpec } from "../support/spec.ts";

type Started = VerbArgs["startEngine"];

const headIp = "10.0.0.9";
const kvIp = "10.0.0.7";

/** Actors with an address and ports of their own each, which keep what they are told to run. */
function startingAgent() {
  const started: Started[] = [];
  const actors = new Map<string, object>();
  const agent = {
    async call(verb: string, args: VerbArgs["ensureReplica"] & Started) {
      if (verb === "nodes") return { nodes: [{ ip: headIp, alive: true, isHead: true }] };
      if (verb === "startEngine") return void started.push(args);
      const { role, index } = parseIncarnation(args.name) ?? {};
      const host = role === "prefill" && index === 0 ? kvIp : `10.0.1.${actors.size}`;
      const first = 20_000 + actors.size * 100;
      const ports = args.ports.map(({ name }, at) => [name, first + at * 10] as const);
      actors.set(args.name, { host, ports: Object.fromEntries(ports) });
      return { name: args.name, state: "idle", endpoint: actors.get(args.name) };
    },
    close: () => Promise.resolve(),
  } as unknown as Agent;
  return { agent, started };
}

/** What the activities have the actors of a first deployment run, with the addresses that these chose. */
async function start(spec: JobSpec) {
  const { agent, started } = startingAgent();
  const activities = createActivities({ agent, readProxyProgram: async () => "" });
  const perform = async <T>(work: () => Promise<T>): Promise<T> =>
    (await new MockActivityEnvironment().run(work)) as T;
  const endpoints: Record<string, { host: string; port: number; ports: Record<string, number> }> =
    {};
  const members: Member[] = [];
  for (const replica of replicasOf(spec)) {
    const action = { replica, generation: 1, kvIp, reason: "" };
    const endpoint = await perform(() =>
      replica.role === "prefill"
        ? activities.startPrefill({ spec, action: { ...action, kind: "startPrefill" } })
        : activities.startDecode({ spec, action: { ...action, kind: "startDecode" } }),
    );
    const { http = 0, ...ports } = endpoint!.ports;
    endpoints[replicaName(replica)] = { host: endpoint!.host, port: http, ports };
    const name = incarnationName(spec.name, replica, 1);
    const actor = {
      name,
      ...replica,
      generation: 1,
      state: "healthy",
      endpoint: endpoint!,
    } as const;
    members.push(memberOf(actor)!);
  }
  const action = {
    kind: "renderProxy",
    generation: 1,
    members,
    replaces: false,
    reason: "",
  } as const;
  const proxy = await perform(() => activities.renderProxy({ spec, action }));
  return { started, endpoints, proxy };
}

const replicasOf = (spec: JobSpec): readonly ReplicaId[] =>
  roles.flatMap((role) =>
    Array.from({ length: spec.roles[role].replicas }, (_, index) => ({ role, index })),
  );

const examples = readdirSync("examples").filter((name) => name.endsWith(".yaml"));
afterEach(() => void vi.unstubAllEnvs());

test.each(examples)("of %s, start runs what plan shows for those addresses", async (file) => {
  vi.stubEnv("HF_TOKEN", "told at the last moment");
  const parsed = parseConfig(readFileSync(`examples/${file}`, "utf8"), { file });
  if (!parsed.ok) throw new Error(parsed.issues[0]?.message);
  const { spec } = parsed;
  const { started, endpoints, proxy } = await start(spec);
  const plan = planOf(spec, endpoints);
  const told = (env: Readonly<Record<string, string>>) =>
    env["HF_TOKEN"] === "env:HF_TOKEN" ? { ...env, HF_TOKEN: "told at the last moment" } : env;
  expect(started.map(({ name, argv, env, files }) => ({ name, argv, env, files }))).toEqual(
    plan.replicas.map(({ role, index, argv, env, files }) => ({
      name: incarnationName(spec.name, { role, index }, 1),
      argv,
      env: told(env),
      files,
    })),
  );
  expect(proxy).toMatchObject({ builtin: plan.proxy.builtin, argv: plan.proxy.argv });
});

describe("what asks a running engine whether it hangs:", () => {
  const probesOf = async (spec: JobSpec) =>
    (await start(spec)).started.map(({ probe }) => probe?.stall);
  const one = { replicas: 1 };

  test("each role by its own name and key for the model, read at the last moment", async () => {
    vi.stubEnv("PDJOB_TEST_KEY", "told");
    const params = { api_key: "env:PDJOB_TEST_KEY", served_model_name: ["a", "b"] };
    const spec = makeSpec({ prefill: { ...one, params }, decode: one });
    expect(await probesOf(spec)).toEqual([
      { afterS: 30, ask: { model: "a", key: "told" } },
      { afterS: 30, ask: { model: "sim" } },
    ]);
  });

  const ofP2p = {
    ...one,
    kvTransfer: { kv_connector: "P2pNcclConnector", kv_role: "kv_producer" },
  };
  test.each([
    ["without canaries", { canary: false, prefill: one, decode: one }],
    ["where only their own proxy may ask engines", { prefill: ofP2p, decode: ofP2p }],
  ])("no request is sent %s", async (_, how) => {
    const health = { intervalS: 1, timeoutS: 3, failures: 3, stallS: 7 };
    const spec = makeSpec({ ...how, health });
    expect(await probesOf(spec)).toEqual([{ afterS: 7 }, { afterS: 7 }]);
  });

  test("nothing, with a stall of 0", async () => {
    const health = { intervalS: 1, timeoutS: 3, failures: 3, stallS: 0 };
    const spec = makeSpec({ prefill: one, decode: one, health });
    expect(await probesOf(spec)).toEqual([undefined, undefined]);
  });
});
