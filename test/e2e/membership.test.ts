import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JobSpec } from "../../src/domain/spec.ts";
import type { JobStatus } from "../../src/domain/status.ts";
import { expectedText } from "../../src/sim/text.ts";
import { eventually } from "../support/eventually.ts";
import { answers, endJob, jobOf } from "../support/proxied.ts";
import { complete, startRig, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";

const program = fileURLToPath(new URL("../support/admin-proxy.mjs", import.meta.url));
/** Slow enough that a stream of a hundred tokens outlives a scale-down. */
const slowTokens = "envs: {PDJOB_SIM_TOKEN_MS: '30'}\ndrain: {quiet: 2}";
let rig: Rig;

beforeAll(async () => void (rig = await startRig()));
afterAll(async () => rig.stop());

interface Pool {
  readonly prefill: readonly string[];
  readonly decode: readonly string[];
}

/** What the proxy itself says that it has. */
const poolOf = (spec: JobSpec): Promise<Pool> => get<Pool>(spec, "/instances");
const callsOf = (spec: JobSpec): Promise<readonly string[]> => get<string[]>(spec, "/calls");

async function get<T>({ scheduler }: JobSpec, path: string): Promise<T> {
  const answer = await request(`http://127.0.0.1:${scheduler.port}${path}`);
  return (await answer.body.json()) as T;
}

const urls = ({ replicas }: JobStatus, role: "prefill" | "decode"): readonly string[] =>
  replicas.flatMap((one) => (one.role === role && one.url ? [one.url] : []));

const scaled = (job: string, decode: number): Promise<JobStatus> =>
  eventually(`${job} has ${decode} decode replicas`, async () => {
    const status = await rig.client.status(job);
    return status.phase === "READY" && urls(status, "decode").length === decode
      ? status
      : undefined;
  });

/** Streams on every decode engine, each checked to the last token; begun when the first token is there. */
async function startStreams(spec: JobSpec, count: number): Promise<readonly Promise<string>[]> {
  const streams = Array.from({ length: count }, async (_, lane) => {
    const prompt = `lane ${lane}`;
    const { text } = await complete(spec, { prompt, max_tokens: 100, stream: true });
    const events = text.split("\n").filter((line) => line.startsWith("data: {"));
    const words = events.map((line) => JSON.parse(line.slice(6)).choices[0].text).join("");
    return words === expectedText("sim/tiny", prompt, 100) ? "whole" : `cut after ${words}`;
  });
  await eventually("every engine has a stream", async () => {
    const { replicas } = await rig.agent.call("list", { job: spec.name });
    const loads = replicas
      .filter(({ role }) => role === "decode")
      .map(({ name }) => rig.agent.call("engineLoad", { name }));
    return (await Promise.all(loads)).every(({ requests }) => (requests ?? 0) > 0);
  });
  return streams;
}

describe("a proxy with an admin API", () => {
  let spec: JobSpec;
  let refuseWhen: string;

  beforeAll(async () => {
    refuseWhen = join(rig.dir, "refuse");
    spec = await jobOf(
      rig,
      "api",
      `command: node ${program} --port {PORT} --refuse-when ${refuseWhen}
http:
  add: {url: /instances/add, body: {type: "{ROLE}", instances: ["{HOST}:{PORT}"]}}
  remove: {url: /instances/remove, body: {type: "{ROLE}", instances: ["{HOST}:{PORT}"]}}
  list: {url: /instances}`,
      slowTokens,
    );
    await rig.client.start(spec);
    await untilPhase(rig.client, "api", "READY");
  });
  afterAll(async () => endJob(rig, spec));

  test("is told of each replica once it is up, and serves", async () => {
    const status = await rig.client.status("api");
    const pool = await poolOf(spec);
    expect(pool.prefill).toEqual(urls(status, "prefill"));
    expect(pool.decode).toEqual(urls(status, "decode"));
    expect(await callsOf(spec)).toHaveLength(2);
    await answers(spec, "through the API");
  });

  test("is told of one that comes, and of one that goes before it is stopped: no stream is cut", async () => {
    await rig.client.scale("api", { role: "decode", replicas: 2 });
    const two = await scaled("api", 2);
    expect((await poolOf(spec)).decode.toSorted()).toEqual(urls(two, "decode").toSorted());
    const streams = await startStreams(spec, 4);
    await rig.client.scale("api", { role: "decode", replicas: 1 });
    const one = await scaled("api", 1);
    expect(await Promise.all(streams)).toEqual(["whole", "whole", "whole", "whole"]);
    const pool = await poolOf(spec);
    expect(pool.decode).toEqual(urls(one, "decode"));
    const gone = urls(two, "decode").find((url) => !pool.decode.includes(url));
    expect((await callsOf(spec)).slice(2)).toEqual([
      expect.stringMatching(/^add decode /),
      `remove decode ${gone?.slice("http://".length)}`,
    ]);
  });

  test("that refuses is named with its answer, told again, and leaves the job DEGRADED meanwhile", async () => {
    writeFileSync(refuseWhen, "");
    await rig.client.scale("api", { role: "decode", replicas: 2 });
    const { reason } = await untilPhase(rig.client, "api", "DEGRADED");
    expect(reason).toMatch(
      /^api-proxy-g1 was not told of all its members: POST http:\/\/127\.[\d.]+:\d+\/instances\/add for api-decode-1-g\d was answered 503: \{"detail":"instances are locked"\}\. It was tried \d times and is tried again\.$/,
    );
    await answers(spec, "while it refuses");
    rmSync(refuseWhen);
    const status = await scaled("api", 2);
    expect((await poolOf(spec)).decode.toSorted()).toEqual(urls(status, "decode").toSorted());
  });

  test("that is replaced is told of everybody again", async () => {
    const [proxy] = (await rig.agent.call("list", { job: "api" })).proxies;
    if (proxy?.pid === undefined) throw new Error("the proxy has no process");
    process.kill(proxy.pid, "SIGKILL");
    await eventually(
      "another proxy runs",
      async () => (await rig.client.status("api")).proxy.generation === proxy.generation + 1,
    );
    const status = await scaled("api", 2);
    const pool = await poolOf(spec);
    expect(await callsOf(spec)).toHaveLength(3);
    expect(pool.decode.toSorted()).toEqual(urls(status, "decode").toSorted());
    await answers(spec, "through the next");
  });
});

describe("a proxy that watches a file", () => {
  let spec: JobSpec;

  beforeAll(async () => {
    spec = await jobOf(
      rig,
      "file",
      `command: node ${program} --port {PORT} --members conf/members.json
file:
  path: conf/members.json
  content: {prefill: [$PREFILL_URLS], decode: [$DECODE_URLS], count: $DECODE_COUNT}`,
      slowTokens,
    );
    await rig.client.start(spec);
    await untilPhase(rig.client, "file", "READY");
  });
  afterAll(async () => endJob(rig, spec));

  const written = (): unknown =>
    JSON.parse(readFileSync(join(spec.workingDir, "conf/members.json"), "utf8"));

  test("finds its file when it starts, and serves", async () => {
    const status = await rig.client.status("file");
    expect(written()).toEqual({
      prefill: urls(status, "prefill"),
      decode: urls(status, "decode"),
      count: "1",
    });
    await answers(spec, "through the file");
  });

  test("is given another file when the job is scaled, and no stream is cut", async () => {
    await rig.client.scale("file", { role: "decode", replicas: 2 });
    const two = await scaled("file", 2);
    expect(written()).toMatchObject({ decode: urls(two, "decode"), count: "2" });
    await eventually("the proxy has read it", async () => (await poolOf(spec)).decode.length === 2);
    const streams = await startStreams(spec, 4);
    await rig.client.scale("file", { role: "decode", replicas: 1 });
    const one = await scaled("file", 1);
    expect(await Promise.all(streams)).toEqual(["whole", "whole", "whole", "whole"]);
    expect(written()).toMatchObject({ decode: urls(one, "decode"), count: "1" });
  });
});
