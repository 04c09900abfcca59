import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JobSpec } from "../../src/domain/spec.ts";
import { complete } from "../contract/calls.ts";
import { metric } from "../contract/metrics-text.ts";
import { startRig } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";
import { connectors } from "./connectors.ts";
import type { Connector } from "./connectors.ts";
import { cpuSpec } from "./cpu-spec.ts";
import { answersOf, deploy, engineOf, enginesOf, kill, stopAndLook, untilReplaced } from "./job.ts";
import { kvOf, kvSince } from "./kv-sources.ts";
import { freshPrompts, prompts, tokensAsked } from "./prompts.ts";
import { setUpReal } from "./real.ts";
import { referenceAnswers } from "./reference.ts";
import type { Reference } from "./reference.ts";
import { requestCases } from "./requests.ts";

let rig: Rig;
let model: string;
/** One engine answers for all connectors; it boots beside the first job. */
let reference: Promise<Reference>;

beforeAll(async () => {
  rig = await startRig();
  model = await setUpReal(rig.dir);
  reference = referenceAnswers(model, rig.dir);
  reference.catch(() => undefined); // Told by the first test that needs it.
});
afterAll(async () => {
  await reference?.catch(() => undefined);
  await rig?.stop();
});

describe.each(connectors)("$what:", (connector) => {
  const { name, kv, prefills } = connector;
  let spec: JobSpec;

  test(`real vLLM becomes READY through the ordinary path: ${prefills} prefill and one decode engine`, async () => {
    spec = await cpuSpec(rig, { name, model, kv, prefills });
    const seconds = await deploy(rig, spec);
    process.stdout.write(
      `${connector.what}, ${prefills} and 1: READY after ${seconds.toFixed(0)} s\n`,
    );
    expect((await rig.client.status(name)).ready).toEqual({ prefill: prefills, decode: 1 });
  });

  test("twenty greedy answers equal one engine's, token by token, with KV from the prefill engine", async () => {
    const before = await promptTokensOfPrefill(spec);
    await expectHandOver(connector, spec, prompts);
    // Since before the requests: each has answered a canary to become READY, and its counter was above 0 already.
    const grown = (await promptTokensOfPrefill(spec)).map((now, at) => now - (before[at] ?? now));
    expect(grown).toHaveLength(prefills);
    for (const tokens of grown)
      expect(tokens, `grown by ${grown.join(" and ")}`).toBeGreaterThan(0);
    if (connector.hasFiles) expect(filesOf(spec).length).toBeGreaterThanOrEqual(prompts.length);
  });

  if (connector.name === "nixl") requestCases(() => ({ rig, spec }));

  for (const [at, [role, what]] of connector.kills.entries())
    test(`a killed ${role} engine is replaced, and the answers stay the same`, async () => {
      const victim = await kill(rig, spec, role, what);
      await untilReplaced(rig, spec, victim, { prefill: prefills, decode: 1 });
      // A decode engine that lives on has the first ones in its cache.
      await expectHandOver(connector, spec, at === 0 ? freshPrompts : prompts);
    });

  if (connector.hasFiles && connector.kills.length > 0)
    test("the new one, asked without a prefill, finds in the files what engines before it have written", async () => {
      const decode = await engineOf(rig, spec, "decode");
      const before = await kvOf(decode);
      const [prompt = ""] = prompts;
      const answer = await complete(decode, { prompt, ...tokensAsked });
      const { choices } = answer.json<{ choices: { token_ids: number[] }[] }>();
      expect(choices[0]?.token_ids).toEqual((await reference)[prompt]);
      const { byNixl, byStore } = await kvSince(decode, before);
      expect([byNixl, byStore > 0]).toEqual([0, true]);
    });

  test("stop leaves no engine process, no placement group and no port", async () => {
    expect(await stopAndLook(rig, spec)).toEqual([]);
  });
});

/** All answers are the single engine's, and the decode engine computed no more of these new prompts than it has to. */
async function expectHandOver(
  { handedOver, by }: Connector,
  spec: JobSpec,
  asked: readonly string[],
): Promise<void> {
  const decode = await engineOf(rig, spec, "decode");
  const before = await kvOf(decode);
  const answers = await answersOf(spec, asked);
  const expected = await reference;
  expect(answers.map(({ ids }) => ids)).toEqual(asked.map((prompt) => expected[prompt]));
  const { byNixl, byStore, ...served } = await kvSince(decode, before);
  const sum = (count: (tokens: number) => number): number =>
    answers.reduce((total, { promptTokens }) => total + count(promptTokens), 0);
  const transferred = sum(handedOver);
  expect(served).toEqual({ computed: sum((all) => all) - transferred, cached: 0, transferred });
  // vLLM counts these when it lets a request in: one whose first transfer fails, which the proxy tries again, counts
  // twice. On a busy machine the first handshake of two engines does (44 tokens more than 1,640, at a load of 24).
  expect(byNixl).toBeGreaterThanOrEqual(by === "nixl" ? transferred : 0);
  expect(byStore).toBe(by === "store" ? transferred : 0);
}

/** Of each prefill engine, in the order of their indexes. */
const promptTokensOfPrefill = async (spec: JobSpec): Promise<readonly number[]> =>
  Promise.all(
    (await enginesOf(rig, spec, "prefill")).map((engine) =>
      metric(engine, "vllm:prompt_tokens_total"),
    ),
  );

/** Of every layout of KV that the job has had. */
function filesOf({ workingDir, name }: JobSpec): readonly string[] {
  const folder = join(workingDir, ".pdjob", "kv", name);
  return readdirSync(folder).flatMap((layout) => readdirSync(join(folder, layout)));
}
