import type { Agent } from "../ray/agent.ts";
import { canaryActivities } from "./canary.ts";
import { fileActivities } from "./files.ts";
import { placementActivities } from "./placement.ts";
import { probeActivities } from "./probe.ts";
import { proxyActivities } from "./proxy.ts";
import { replicaActivities } from "./replica.ts";
import { sweepActivities } from "./sweep.ts";
import { turnActivities } from "./turn.ts";

export interface ActivityDependencies {
  readonly agent: Agent;
  /** The text of the built-in proxy's one-file program. */
  readonly readProxyProgram: () => Promise<string>;
}

/** Everything that touches the world, under the names that the Web UI shows. */
export const createActivities = (dependencies: ActivityDependencies) => ({
  ...turnActivities(dependencies),
  ...fileActivities(dependencies),
  ...probeActivities(dependencies),
  ...placementActivities(dependencies),
  ...replicaActivities(dependencies),
  ...canaryActivities(dependencies),
  ...proxyActivities(dependencies),
  ...sweepActivities(dependencies),
});

export type Activities = ReturnType<typeof createActivities>;
