import { afterAll, beforeAll, expect, test } from "vitest";
import type { JobStatus } from "../../src/domain/status.ts";
import { expectedText } from "../../src/sim/text.ts";
import { eventually } from "../support/eventually.ts";
import { complete, leftOf, rigSpec, startRig, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";
import type { makeSpec } from "../support/spec.ts";

let rig: Rig;
beforeAll(async () => void (rig = await startRig()));
afterAll(async () => rig.stop());

const single = { prefill: { replicas: 1 }, decode: { replicas: 1 } } as const;
const kv = (kv_role: string, more: Readonly<Record<string, string>> = {}) => ({
  kv_connector: "NixlConnector",
  kv_role,
  ...more,
});
/** Prefill offers KV that nobody gets; decode notices soon. */
const deadPath = {
  prefill: { replicas: 1, envs: { PDJOB_SIM_SIDE_CHANNEL: "deaf" } },
  decode: { replicas: 1, envs: { PDJOB_SIM_HANDSHAKE_MS: "200" } },
} as const;
const strict = { PDJOB_SIM_KV_ROLE: "strict" } as const;

/** What is wrong with a job, and how its failure begins and ends. */
const wrong: Readonly<
  Record<string, { readonly spec: Parameters<typeof makeSpec>[0]; readonly says: RegExp }>
> = {
  "a dead KV path": {
    spec: deadPath,
    says: /failed at stage kv: the decode engine at http:\S+ answered 500: Internal server error, although it answers the same prompt without the KV that prefill offers\. Is its kv_role one that receives KV \(kv_consumer, or kv_both\), and are the connector's ports reachable/,
  },
  "a dead KV path that decode makes up for": {
    spec: {
      ...deadPath,
      decode: {
        ...deadPath.decode,
        kvTransfer: kv("kv_consumer", { kv_load_failure_policy: "recompute" }),
      },
    },
    says: /failed at stage kv: the decode engine at http:\S+ answered, but computed the 32 tokens of the prompt itself\./,
  },
  "swapped roles": {
    spec: {
      prefill: { replicas: 1, envs: strict, kvTransfer: kv("kv_consumer") },
      decode: { replicas: 1, envs: strict, kvTransfer: kv("kv_producer") },
    },
    says: /failed at stage prefill: the prefill engine at http:\S+ answered without kv_transfer_params, so it keeps no KV for decode\. Is its kv_role one that sends KV/,
  },
  "a wrong model name": {
    spec: { prefill: { replicas: 1, params: { served_model_name: "other" } } },
    says: /failed at stage model: the prefill engine at http:\S+ serves other, and not sim\. Give both roles the same served_model_name/,
  },
};

test("a dead KV path, swapped roles and a wrong model name end a start, each named by its stage", async () => {
  const reasons = Object.entries(wrong).map(async ([name, { spec: overrides, says }], index) => {
    const health = { intervalS: 1, timeoutS: 1, failures: 1 };
    const spec = await rigSpec(rig, `wrong-${index}`, { ...single, ...overrides, health });
    await rig.client.start(spec);
    const reason = await rig.client.result(spec.name).then(
      () => "it succeeded",
      (error: Error) => error.message,
    );
    expect(`${name}: ${reason}`).toMatch(says);
    expect(reason).toContain("Canary prefill-0 g1 → decode-0 g1 failed");
    const { phase, failure } = await rig.client.status(spec.name);
    expect([phase, failure?.code]).toEqual(["FAILED", "CanaryFailed"]);
    expect(await leftOf(rig, spec)).toEqual([]);
  });
  await Promise.all(reasons);
}, 240_000);

test("a slow start is named, and whoever waits for it; what is added under load serves after its canary", async () => {
  const spec = await rigSpec(rig, "slow", {
    ...single,
    decode: { replicas: 1, envs: { PDJOB_SIM_BOOT_MS: "3000" } },
  });
  await rig.client.start(spec);
  const notes = await eventually("both say what they wait for", async () => {
    const { replicas } = await rig.client.status("slow");
    const found = replicas.map(({ phase, note }) => `${phase}: ${note}`);
    const [prefill = "", decode = ""] = found;
    return prefill.includes("canary") && decode.includes("booting since") ? found : undefined;
  });
  expect(notes[0]).toBe("STARTING: canary: waits for a decode replica that can be its partner");
  expect(notes[1]).toMatch(
    /^STARTING: booting since \d\d:\d\d:\d\d UTC; its timeout of 60 s ends at \d\d:\d\d:\d\d UTC$/,
  );
  await untilPhase(rig.client, "slow", "READY");

  let isOver = false;
  const answers: string[] = [];
  const load = async (lane: number): Promise<void> => {
    for (let turn = 0; !isOver; turn++) {
      const prompt = `lane ${lane} turn ${turn}`;
      const { status, text } = await complete(spec, { prompt, max_tokens: 20 });
      const said = status === 200 ? JSON.parse(text).choices[0].text : text;
      answers.push(said === expectedText("sim/tiny", prompt, 20) ? "ok" : `${status}: ${said}`);
    }
  };
  const lanes = [load(0), load(1)];
  await rig.client.scale("slow", { role: "decode", replicas: 2 });
  const status = await untilPhase(rig.client, "slow", "READY");
  isOver = true;
  await Promise.all(lanes);
  expect(answers.length).toBeGreaterThan(20);
  expect(answers.filter((answer) => answer !== "ok")).toEqual([]);
  expect(stepsOf(status)).toEqual([
    "sendCanary decode-1 g1: decode-1 is healthy: a request goes through it and prefill-0",
    "setMembership proxy g2: add slow-decode-1-g1",
  ]);
  await rig.client.stop("slow");
  await rig.client.result("slow");
}, 240_000);

const stepsOf = ({ events }: JobStatus): readonly string[] =>
  events
    .map(({ text }) => text)
    .filter((text) => text.includes("decode-1") && /^(?:sendCanary|setMembership)/.test(text));
