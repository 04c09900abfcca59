import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe } from "vitest";
import type { Ended } from "../contract/bed.ts";
import { contract } from "../contract/suite.ts";
import { askVllm, bootTimeoutMs, engineEnv, setUpReal, vllm } from "./real.ts";

const dir = mkdtempSync(join(tmpdir(), "pdjob-contract-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const endsOf = (commands: readonly (readonly string[])[]): Promise<readonly Ended[]> =>
  askVllm("ends.py", commands);

describe("real vLLM", () => {
  contract(async () => {
    const model = await setUpReal(dir);
    return {
      command: [vllm, "serve", model],
      env: engineEnv,
      dir,
      bootTimeoutMs,
      patienceMs: 60_000,
      longStreamTokens: 1_800,
      leaseS: 5,
      endsOf: (flags) => endsOf(flags.map((own) => ["serve", model, ...own])),
    };
  });
});
