import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startRig } from "./rig.ts";
import type { Rig } from "./rig.ts";

/** A rig whose worker is SIGKILLed right before and right after each of these steps, once; `deaths` says where it was. */
export async function startDyingRig(
  steps: readonly string[],
): Promise<Rig & { readonly deaths: () => readonly string[] }> {
  const dir = mkdtempSync(join(tmpdir(), "pdjob-death-"));
  const record = join(dir, "deaths");
  const rig = await startRig({
    workerProgram: fileURLToPath(new URL("dying-worker.mjs", import.meta.url)),
    workerEnv: { PDJOB_DIE_AT: steps.join(","), PDJOB_DIE_RECORD: record },
  });
  const stop = async (): Promise<void> => {
    await rig.stop();
    rmSync(dir, { recursive: true, force: true });
  };
  return { ...rig, stop, deaths: () => readFileSync(record, "utf8").trim().split("\n") };
}
