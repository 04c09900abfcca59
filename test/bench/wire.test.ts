import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterAll, expect, test } from "vitest";
import { freePorts } from "../../bench/program.ts";
import { buildWire, countsOf } from "../../bench/wire.ts";
import { startProxy } from "../proxy/rig.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const hasGo = !(await execa("go", ["version"], { reject: false })).failed;
const dir = mkdtempSync(join(tmpdir(), "pdjob-wire-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const short = {
  pids: [process.pid],
  clients: 4,
  promptBytes: 1_000,
  warmUpMs: 0,
  windowMs: 300,
  cpuMinMs: 0,
  rampMs: 20_000,
};

test.skipIf(!hasGo)(
  "the engines and clients of the benchmark speak the protocol of prefill and decode",
  async () => {
    const wire = await buildWire(root, dir);
    const [prefill = 0, decode = 0] = await freePorts(2);
    const engines = await wire.startEngines([prefill, decode], 5);
    const proxy = await startProxy([]);
    const memberOf = (role: "prefill" | "decode", engine: number) => ({
      name: role,
      role,
      url: `http://127.0.0.1:${engine}`,
    });
    const members = [memberOf("prefill", prefill), memberOf("decode", decode)];
    proxy.pool.replace({ generation: 9, members });
    const port = Number(new URL(proxy.url).port);
    try {
      const whole = await wire.load({ ...short, port });
      expect(whole).toMatchObject({ failed: 0, changed: 0, errors: [] });
      expect(whole.requests).toBeGreaterThan(0);
      const streamed = await wire.load({ ...short, port, tokenMs: 5 });
      expect(streamed).toMatchObject({ requests: 4, failed: 0, errors: [] });
      expect(streamed.tokens).toBeGreaterThan(0);
      const { decodes, withKv } = await countsOf(decode);
      expect(withKv).toBe(decodes);
      expect((await countsOf(prefill)).prefills).toBeGreaterThanOrEqual(decodes);
    } finally {
      void proxy.stop();
      await engines.stop();
    }
  },
);
