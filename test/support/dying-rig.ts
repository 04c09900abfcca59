import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DefaultLogger, bundleWorkflowCode } from "@temporalio/worker";
import { root } from "./program.ts";
import { startOwnRig } from "./rig.ts";
import type { OwnRig } from "./rig.ts";

/**
 * A rig whose worker is SIGKILLed at each of these moments (`before KIND`, `after VERB NAME`), or right before and right
 * after when only a step is named, once each. Its activities are missed after 2.5 s. `deaths` says where it died so far.
 */
export async function startDyingRig(
  moments: readonly string[],
): Promise<OwnRig & { readonly deaths: () => readonly string[] }> {
  const dir = mkdtempSync(join(tmpdir(), "pdjob-death-"));
  const record = join(dir, "deaths");
  const bundle = join(dir, "workflows.js");
  writeFileSync(bundle, await bundleSoonMissed());
  const rig = await startOwnRig({
    workerProgram: join(root, "test/support/dying-worker.mjs"),
    workerBackoffMaxMs: 200,
    workerEnv: {
      PDJOB_DIE_AT: moments.join(","),
      PDJOB_DIE_RECORD: record,
      PDJOB_DIE_BUNDLE: bundle,
    },
  });
  const stop = async (): Promise<void> => {
    await rig.stop();
    rmSync(dir, { recursive: true, force: true });
  };
  return { ...rig, stop, deaths: () => readFileSync(record, "utf8").trim().split("\n") };
}

async function bundleSoonMissed(): Promise<string> {
  const { code } = await bundleWorkflowCode({
    workflowsPath: join(root, "dist/workflows/index.js"),
    workflowInterceptorModules: [join(root, "test/support/soon-missed.mjs")],
    logger: new DefaultLogger("ERROR"),
  });
  return code;
}
