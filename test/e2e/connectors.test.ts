import { afterAll, beforeAll, expect, test } from "vitest";
import type { JobSpec } from "../../src/domain/spec.ts";
import { complete, leftOf, rigSpec, startRig, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";

let rig: Rig;
beforeAll(async () => void (rig = await startRig()));
afterAll(async () => rig.stop());

/** One replica a role, with this connector, on engines that claim to be of this version. */
async function connectorSpec(
  name: string,
  connector: string,
  version: string,
  more: Partial<JobSpec> = {},
): Promise<JobSpec> {
  const role = (kv_role: string) => ({
    replicas: 1,
    envs: { PDJOB_SIM_VERSION: version },
    kvTransfer: { kv_connector: connector, kv_role },
  });
  const roles = { prefill: role("kv_producer"), decode: role("kv_consumer") };
  return rigSpec(rig, name, { ...roles, ...more });
}

const eventsOf = async (job: string): Promise<string> =>
  (await rig.client.status(job)).events.map(({ text }) => text).join("\n");

async function stop(job: string): Promise<void> {
  await rig.client.stop(job);
  await rig.client.result(job);
}

test("a connector that the engines' vLLM has no more fails the job before anything is reserved", async () => {
  const scheduler = { port: 27_990, membership: "restart", command: ["p", "{PORT}"] } as const;
  const spec = await connectorSpec("removed", "P2pNcclConnector", "0.24.0", { scheduler });
  await rig.client.start(spec);
  await expect(rig.client.result("removed")).rejects.toThrow(
    "prefill.params.kv_transfer_config.kv_connector: P2pNcclConnector is not in vLLM 0.24.0: 0.24 removed it. Use NixlConnector, or engines older than vLLM 0.24.",
  );
  const events = await eventsOf("removed");
  expect(events).toContain("probeEngine engine failed: SpecInvalid");
  expect(events).not.toContain("reservePlacementGroup");
  expect(await leftOf(rig, spec)).toEqual([]);
});

test.each([
  ["older", "0.12.0", ""],
  [
    "newer",
    "0.32.0",
    "SharedStorageConnector is called ExampleConnector in vLLM 0.32.0: engines get the name that they know.",
  ],
])(
  "a renamed connector serves behind the built-in proxy, on %s engines under the name that they know",
  async (name, version, note) => {
    const spec = await connectorSpec(name, "SharedStorageConnector", version);
    await rig.client.start(spec);
    await untilPhase(rig.client, name, "READY");
    const answer = await complete(spec, { prompt: "a store needs no parameters", max_tokens: 4 });
    expect(answer.status).toBe(200);
    const events = await eventsOf(name);
    expect(events.includes("is called")).toBe(note !== "");
    expect(events).toContain(note);
    await stop(name);
    expect(await leftOf(rig, spec)).toEqual([]);
  },
);

test("an engine that cannot be asked runs as the newest, and the job says so", async () => {
  const engineCommand = ["bash", "-c", 'exec pdjob-sim-engine serve "$@"', "engine"];
  const spec = await connectorSpec("custom", "NixlConnector", "0.32.0", { engineCommand });
  await rig.client.start(spec);
  await untilPhase(rig.client, "custom", "READY");
  expect(await eventsOf("custom")).toContain(
    "is not asked for its version, since it does not end in serve: vLLM 0.32 is assumed; give engine.version if it is another.",
  );
  await stop("custom");
});
