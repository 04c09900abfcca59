import type { JobSpec } from "../domain/spec.ts";
import type { ActivityDependencies } from "./index.ts";

export const sweepActivities = ({ agent }: ActivityDependencies) => ({
  /** Removes whatever of the job a crash may have left in Ray. The last step of every teardown. */
  async sweep({
    spec,
  }: {
    readonly spec: JobSpec;
  }): Promise<{ readonly removed: readonly string[] }> {
    const { removed } = await agent.call("sweep", { job: spec.name, dryRun: false });
    return { removed: removed.map(({ kind, name }) => `${kind} ${name}`) };
  },
});
