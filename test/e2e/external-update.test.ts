import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { request } from "undici";
import { afterAll, beforeAll, expect, test } from "vitest";
import { roles } from "../../src/domain/role.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import type { JobStatus } from "../../src/domain/status.ts";
import { startLoad } from "../faults/load.ts";
import { eventually } from "../support/eventually.ts";
import { answers, endJob, jobOf } from "../support/proxied.ts";
import { startRig, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";

const program = fileURLToPath(new URL("../support/admin-proxy.mjs", import.meta.url));
const watchEveryMs = 15;
/** For each lane of the load: one that finds an empty list, and one between its legs. */
const lostMax = 8;
/**
 * What docs/proxies.md grants to this kind of update: no instance, or a decode of the other kind, which cannot load the KV. A stream
 * has its status by then, so that its failure is an event.
 */
const granted =
  /^500: .*(no (prefill|decode) instance|answered)|^\{"error":\{"message":"Internal server error"/;
let rig: Rig;

beforeAll(async () => void (rig = await startRig()));
afterAll(async () => rig.stop());

const urls = ({ replicas }: JobStatus): readonly string[] =>
  replicas.flatMap(({ url }) => (url ? [url] : []));

async function get<T>({ scheduler }: JobSpec, path: string): Promise<T> {
  const answer = await request(`http://127.0.0.1:${scheduler.port}${path}`);
  return (await answer.body.json()) as T;
}

/** Every set of members that the proxy was seen with, by its own word. */
function watchPools(spec: JobSpec) {
  let stopping = false;
  const pools = new Set<string>();
  const run = async (): Promise<void> => {
    for (; !stopping; await sleep(watchEveryMs)) {
      const { prefill, decode } = await get<Record<string, string[]>>(spec, "/instances");
      pools.add(JSON.stringify([...(prefill ?? []), ...(decode ?? [])]));
    }
  };
  const running = run();
  return async (): Promise<readonly (readonly string[])[]> => {
    stopping = true;
    await running;
    return [...pools].map((text) => JSON.parse(text) as string[]);
  };
}

/** What the proxy had after each call to its admin API. */
function poolsAfter(calls: readonly string[]): readonly (readonly string[])[] {
  let pool: readonly string[] = [];
  return calls.map((call) => {
    const [verb, , at] = call.split(" ");
    const url = `http://${at}`;
    pool = verb === "add" ? [...pool, url] : pool.filter((one) => one !== url);
    return pool;
  });
}

const served = (job: string, revision: number): Promise<JobStatus> =>
  eventually(
    `revision ${revision} serves`,
    async () => {
      const status = await rig.client.status(job);
      return status.phase === "READY" && (status.revision ?? 1) >= revision ? status : undefined;
    },
    90_000,
  );

test.each([
  [
    "http",
    `command: node ${program} --port {PORT}
http:
  add: {url: /instances/add, body: {type: "{ROLE}", instances: ["{HOST}:{PORT}"]}}
  remove: {url: /instances/remove, body: {type: "{ROLE}", instances: ["{HOST}:{PORT}"]}}
  list: {url: /instances}`,
  ],
  [
    "file",
    `command: node ${program} --port {PORT} --members conf/members.json
file:
  path: conf/members.json
  content: {prefill: [$PREFILL_URLS], decode: [$DECODE_URLS]}`,
  ],
])(
  "engines whose KV does not fit together are replaced behind a proxy told by %s: it never has two kinds, and loses what docs/proxies.md says",
  async (membership, scheduler) => {
    const spec = await jobOf(rig, `by-${membership}`, scheduler, "drain: {quiet: 2}");
    await rig.client.start(spec);
    const before = urls(await untilPhase(rig.client, spec.name, "READY"));
    const load = startLoad(spec);
    const stopWatching = watchPools(spec);
    const [prefill, decode] = roles.map((role) => ({
      ...spec.roles[role],
      params: { ...spec.roles[role].params, block_size: 32 },
    }));
    if (!prefill || !decode) throw new Error("a role is missing");
    const { revision } = await rig.client.apply({ ...spec, roles: { prefill, decode } });
    await served(spec.name, revision);
    await answers(spec, "by the new kind");
    const outcomes = await load.stop();

    const calls =
      membership === "http" ? poolsAfter(await get<readonly string[]>(spec, "/calls")) : [];
    const pools = [...(await stopWatching()), ...calls];
    const isOld = (url: string): boolean => before.includes(url);
    expect(pools.filter((pool) => pool.some(isOld) && !pool.every(isOld))).toEqual([]);
    expect(pools.some((pool) => pool.length >= 2 && !pool.some(isOld))).toBe(true);

    const lost = outcomes.filter(({ kind }) => kind !== "ok");
    process.stdout.write(
      `  by ${membership}: ${lost.length} of ${outcomes.length} requests lost ${lost.map(({ text }) => text).join("; ")}\n`,
    );
    expect(lost.filter(({ kind }) => kind === "silent")).toEqual([]);
    expect(lost.length).toBeLessThanOrEqual(lostMax);
    for (const { text } of lost) expect(text).toMatch(granted);
    await endJob(rig, spec);
  },
  200_000,
);
