import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterAll, describe } from "vitest";
import { contract } from "./suite.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "pdjob-contract-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe("simulated engines", () => {
  contract(async () => {
    await execa(process.execPath, [join(root, "scripts/build.mjs")]);
    return {
      command: [process.execPath, join(root, "bin/pdjob-sim-engine"), "serve", "sim/tiny"],
      env: { PDJOB_SIM_BOOT_MS: "200", PDJOB_SIM_TOKEN_MS: "1", PDJOB_SIM_HANDSHAKE_MS: "300" },
      dir,
      bootTimeoutMs: 20_000,
      patienceMs: 10_000,
      longStreamTokens: 600,
      leaseS: 1,
    };
  });
});
