import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe } from "vitest";
import { contract } from "../contract/suite.ts";
import { bootTimeoutMs, engineEnv, setUpReal, vllm } from "./real.ts";

const dir = mkdtempSync(join(tmpdir(), "pdjob-contract-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe("real vLLM", () => {
  contract(async () => ({
    command: [vllm, "serve", await setUpReal(dir)],
    env: engineEnv,
    dir,
    bootTimeoutMs,
    patienceMs: 30_000,
    longStreamTokens: 1_800,
    leaseS: 5,
  }));
});
