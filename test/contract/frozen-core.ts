import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { treeOf } from "../support/processes.ts";
import type { Bed, Engine } from "./bed.ts";
import { call, complete, ids } from "./calls.ts";
import { metric, samplesOf } from "./metrics-text.ts";
import { openStream } from "./open-stream.ts";
import type { Trio } from "./trio.ts";

/** In which the API server still hands on what its core said before it was stopped. */
const lastWordsMs = 1_000;
const frozenMs = 2_000;

/** What an engine shows whose core does nothing, as in a kernel that never returns. It is left as it was. */
export function frozenCoreCases(trio: () => Trio, bed: () => Bed): void {
  test("a core that is stopped: health is good, metrics stand still, nobody is answered until it goes on", async () => {
    const { decode: engine } = trio();
    const stream = await openStream(engine, {
      prompt: ids(4, 30),
      max_tokens: bed().longStreamTokens,
    });
    await eventually("it runs", async () => (await running(engine)) === 1, bed().patienceMs);
    const { pid } = treeOf(engine.pid).find(isCore) ?? {};
    if (pid === undefined) throw new Error("it has no engine core");
    process.kill(pid, "SIGSTOP");
    try {
      await sleep(lastWordsMs);
      const [before, heard] = [await counted(engine), stream.text()];
      const late = complete(engine, { prompt: ids(3, 31), max_tokens: 1 });
      const first = await Promise.race([late, sleep(frozenMs, "nothing")]);
      expect([first, await counted(engine), stream.text()]).toEqual(["nothing", before, heard]);
      expect(await running(engine)).toBe(1); // The second one is not even known of.
      expect((await call(engine, "GET", "/health")).status).toBe(200);
      process.kill(pid, "SIGCONT");
      expect((await late).status).toBe(200);
      await eventually("it goes on", () => stream.text().length > heard.length, bed().patienceMs);
    } finally {
      process.kill(pid, "SIGCONT");
      stream.leave();
    }
    await eventually("none is left", async () => (await running(engine)) === 0, bed().patienceMs);
  });
}

const running = (engine: Engine): Promise<number> => metric(engine, "vllm:num_requests_running");

const isCore = ({ command }: { readonly command: string }): boolean =>
  command.startsWith("VLLM::EngineCore");

const counted = async (engine: Engine) =>
  (await samplesOf(engine)).filter(({ name }) => name.startsWith("vllm:"));
