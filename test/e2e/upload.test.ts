import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { request } from "undici";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "../../src/dev/ports.ts";
import { eventually } from "../support/eventually.ts";
import { startRig, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";
import { pidOf } from "../support/processes.ts";

const program = fileURLToPath(new URL("../../bin/pdjob-client", import.meta.url));
let rig: Rig;
let port: number;

beforeAll(async () => {
  rig = await startRig();
  port = await freePort(26_100);
  const deploy = join(rig.dir, "files", "deploy");
  mkdirSync(join(deploy, "node_modules"), { recursive: true });
  // An engine that a node can only start when it has our files, and a proxy that tells what is in them.
  writeFileSync(join(deploy, "engine.sh"), '#!/bin/sh\nexec pdjob-sim-engine "$@"\n');
  chmodSync(join(deploy, "engine.sh"), 0o755);
  writeFileSync(join(deploy, "version.txt"), "first");
  writeFileSync(
    join(deploy, "proxy.mjs"),
    `import { createServer } from "node:http";
import { readFileSync } from "node:fs";
createServer((_, response) => response.end(readFileSync("version.txt"))).listen(Number(process.argv[2]), "0.0.0.0");\n`,
  );
  writeFileSync(join(deploy, "node_modules", "large.js"), "left out");
  writeFileSync(join(rig.dir, "files", "job.yaml"), jobText("upload", "upload: deploy"));
});
afterAll(async () => rig.stop());

/** Prefill fills one node, decode the other. */
const jobText = (name: string, rest: string): string => `name: ${name}
timeout: 60
num_gpus: 16
working_dir: ${join(rig.dir, name)}
stop_grace: 2
restart: {max_restarts: 3}
${rest}
engine: {command: ./engine.sh serve}
scheduler: {port: ${port}, command: "node proxy.mjs {PORT}", file: {path: conf/members.json}}
general: {params: {model: sim/tiny, served_model_name: sim}}
prefill: {num_gpus: 8, replicas: 1, params: {kv_transfer_config: {kv_connector: NixlConnector, kv_role: kv_producer}}}
decode: {num_gpus: 8, replicas: 1, params: {kv_transfer_config: {kv_connector: NixlConnector, kv_role: kv_consumer}}}
`;

const client = (...words: string[]) =>
  execa(process.execPath, [program, ...words], {
    env: { PDJOB_STATE_DIR: rig.dir, TEMPORAL_ADDRESS: undefined, RAY_ADDRESS: undefined },
    cwd: "/",
    reject: false,
  });

const folderOf = (pid: number | undefined): string => readlinkSync(`/proc/${pid}/cwd`);

test("a folder beside the config is what engines and proxy run in, on every node", async () => {
  const { stdout, exitCode, stderr } = await client("start", join(rig.dir, "files", "job.yaml"));
  expect(exitCode, stderr).toBe(0);
  const deploy = join(rig.dir, "files", "deploy");
  const uploads = new RegExp(`3 files, \\d+ bytes,? .*of ${deploy}, without node_modules\\.`);
  expect(stdout.split("\n")[0]).toMatch(uploads);
  const { events, logs } = await rig.client.status("upload");
  expect(events.map(({ text }) => text)).toContainEqual(expect.stringMatching(uploads));

  const { replicas, proxies } = await rig.agent.call("list", { job: "upload" });
  const processes = [...replicas, ...proxies];
  expect(new Set(replicas.map(({ nodeId }) => nodeId)).size).toBe(2);
  for (const { pid } of processes) {
    const folder = folderOf(pid);
    expect(folder).toContain(join(rig.dir, "upload", ".pdjob/upload/upload-"));
    expect(readFileSync(join(folder, "version.txt"), "utf8")).toBe("first");
    expect(readFileSync(`/proc/${pid}/environ`, "utf8")).toContain(`PYTHONPATH=${folder}`);
  }
  for (const { path } of logs ?? []) expect(path).toContain(join(rig.dir, "upload", ".pdjob/logs"));
  // A relative path is where the proxy runs.
  const told = readFileSync(join(folderOf(proxies[0]?.pid), "conf/members.json"), "utf8");
  for (const { endpoint } of replicas) expect(told).toContain(`:${endpoint?.ports["http"]}`);
  const again = await rig.agent.call("upload", { directory: deploy });
  expect(again.uploaded).toBe(false);
  const answer = await request(`http://127.0.0.1:${port}/`);
  expect(await answer.body.text()).toBe("first");
});

test("what replaces an engine later sees the files of the start, not of now", async () => {
  writeFileSync(join(rig.dir, "files", "deploy", "version.txt"), "second");
  const { replicas } = await rig.agent.call("list", { job: "upload" });
  for (const replica of replicas) process.kill(pidOf(replica), "SIGKILL");
  await eventually("both are replaced", async () => {
    const { phase, replicas: now } = await rig.client.status("upload");
    return phase === "READY" && now.every(({ generation }) => generation === 2);
  });
  const { replicas: replaced } = await rig.agent.call("list", { job: "upload" });
  for (const { pid } of replaced)
    expect(readFileSync(join(folderOf(pid), "version.txt"), "utf8")).toBe("first");
  await rig.client.stop("upload");
  await rig.client.result("upload");
  expect(readdirSync(join(rig.dir, "upload", ".pdjob", "upload"))).toEqual([]);
});

test("without `upload` nothing is copied, although the working directory exists where the worker runs", async () => {
  const name = "plain";
  const file = join(rig.dir, "files", "plain.yaml");
  writeFileSync(file, jobText(name, "").replace("./engine.sh", "pdjob-sim-engine"));
  mkdirSync(join(rig.dir, name), { recursive: true });
  writeFileSync(join(rig.dir, name, "version.txt"), "of the node");
  writeFileSync(
    join(rig.dir, name, "proxy.mjs"),
    readFileSync(join(rig.dir, "files", "deploy", "proxy.mjs"), "utf8"),
  );
  const { stdout, exitCode, stderr } = await client("start", file);
  expect(exitCode, stderr).toBe(0);
  expect(stdout).not.toContain("uploads");
  const { replicas, proxies } = await rig.agent.call("list", { job: name });
  for (const { pid } of [...replicas, ...proxies]) expect(folderOf(pid)).toBe(join(rig.dir, name));
  await rig.client.stop(name);
  await rig.client.result(name);
});

test("a folder that is not there fails the job with what to do, and takes nothing", async () => {
  const file = join(rig.dir, "files", "missing.yaml");
  writeFileSync(file, jobText("missing", "upload: nowhere"));
  const { exitCode, stdout, stderr } = await client("start", file);
  const folder = join(rig.dir, "files", "nowhere");
  expect(stdout).toContain(
    `uploads ${folder}, which is not on this machine, as it is where the worker runs.`,
  );
  expect([exitCode, stderr]).toEqual([
    1,
    expect.stringContaining(
      `upload: ${folder} is no folder on this machine, where the worker runs.`,
    ),
  ]);
  await untilPhase(rig.client, "missing", "FAILED");
  expect((await rig.agent.call("list", { job: "missing" })).placementGroups).toEqual([]);
});
