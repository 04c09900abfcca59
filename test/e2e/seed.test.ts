import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { request } from "undici";
import { parseConfig } from "../../src/config/parse.ts";
import { freePort } from "../../src/dev/ports.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { planOf } from "../../src/cli/plan.ts";
import { expectedText } from "../../src/sim/text.ts";
import { complete, leftOf, startRig, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";

let rig: Rig;
let spec: JobSpec;

beforeAll(async () => {
  rig = await startRig();
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const proxy = join(root, "test/support/toy-proxy.mjs");
  const port = await freePort(26_021);
  // The seed's own file; only the model's path, the proxy's script, its port and the folder are swapped.
  const text = readFileSync(join(root, "examples/seed.yaml"), "utf8")
    .replace("/path/to/your/model", "sim/tiny")
    .replace("python toy_proxy_server.py", `node ${proxy}`)
    .replace("port: 8021", `port: ${port}`)
    .replace("working_dir: /tmp/vllm", `working_dir: ${join(rig.dir, "seed")}`);
  const parsed = parseConfig(`${text}\nengine: {command: pdjob-sim-engine serve}\n`, {
    file: "seed.yaml",
    name: "seed",
  });
  if (!parsed.ok) throw new Error(parsed.issues.map(({ message }) => message).join("\n"));
  spec = parsed.spec;
});
afterAll(async () => rig.stop());

test("the seed's example runs on 16 declared GPUs with the commands that plan shows", async () => {
  await rig.client.start(spec);
  const status = await untilPhase(rig.client, "seed", "READY");
  const { replicas } = await rig.agent.call("list", { job: "seed" });
  const { nodes } = await rig.agent.call("nodes", {});
  expect(nodes.reduce((sum, node) => sum + node.available.GPU, 0)).toBe(0);

  const endpoints = Object.fromEntries(
    replicas.map(({ role, index, endpoint }) => {
      const { http = 0, ...ports } = endpoint?.ports ?? {};
      return [`${role}-${index}`, { host: endpoint?.host ?? "", port: http, ports }];
    }),
  );
  const plan = planOf(spec, endpoints);
  for (const { name, argv, bundles } of plan.replicas) {
    expect(bundles).toEqual([{ GPU: 8 }]);
    const pid = replicas.find((one) => `${one.role}-${one.index}` === name)?.pid;
    // The engine is a Node script: its own command line is the interpreter and the resolved path, then the very words of plan.
    expect(wordsOf(`/proc/${pid}/cmdline`).slice(-(argv.length - 1))).toEqual(argv.slice(1));
  }
  const decode = plan.replicas.find(({ name }) => name === "decode-0")?.argv.join(" ");
  expect(decode).toContain("--tensor-parallel-size 1 --data-parallel-size 8");
  expect(plan.replicas[0]?.argv.join(" ")).toContain("--tensor-parallel-size 8");
  const { proxies } = await rig.agent.call("list", { job: "seed" });
  expect(wordsOf(`/proc/${proxies[0]?.pid}/cmdline`)).toEqual(plan.proxy.argv);
  expect(status.proxy).toMatchObject({ phase: "READY", builtin: false });
});

test("its external proxy serves through prefill and decode", async () => {
  const decode = (await rig.client.status("seed")).replicas.find(
    ({ role }) => role === "decode",
  )?.url;
  const transferred = async (): Promise<number> => {
    const metrics = await (await request(`${decode}/metrics`)).body.text();
    return Number(/source="external_kv_transfer"\} (\d+)/.exec(metrics)?.[1]);
  };
  const before = await transferred();
  const { text } = await complete(spec, {
    model: "my_model",
    prompt: "from the seed",
    max_tokens: 6,
  });
  expect(JSON.parse(text).choices[0].text).toBe(expectedText("sim/tiny", "from the seed", 6));
  expect((await transferred()) - before).toBe(3);
});

test("stop leaves nothing of it", async () => {
  await rig.client.stop("seed");
  await rig.client.result("seed");
  expect(await leftOf(rig, spec)).toEqual([]);
});

const wordsOf = (path: string): readonly string[] =>
  readFileSync(path, "utf8").split("\0").slice(0, -1);
