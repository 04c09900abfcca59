import type { JobSpec } from "../../src/domain/spec.ts";
import { startRig } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";
import { cpuSpec } from "./job.ts";
import type { CpuJob } from "./job.ts";
import { setUpReal } from "./real.ts";
import { referenceAnswers } from "./reference.ts";

export interface RealRig {
  readonly rig: Rig;
  readonly spec: JobSpec;
  /** What one ordinary engine answers to each prompt; it boots beside the job. */
  readonly reference: Promise<readonly (readonly number[])[]>;
}

/** The stack, real vLLM and a tiny model, and a job for them that is not started yet. */
export async function startReal(job: Omit<CpuJob, "model">): Promise<RealRig> {
  const rig = await startRig();
  try {
    const model = await setUpReal(rig.dir);
    const reference = referenceAnswers(model, rig.dir);
    reference.catch(() => undefined); // Told by the first test that needs it.
    return { rig, spec: await cpuSpec(rig, { ...job, model }), reference };
  } catch (error) {
    await rig.stop();
    throw error;
  }
}
