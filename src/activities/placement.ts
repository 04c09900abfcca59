import { cancellationSignal, sleep } from "@temporalio/activity";
import type { ActionInput } from "../domain/action.ts";
import { PdjobError } from "../domain/errors.ts";
import { incarnationName, replicaName } from "../domain/names.ts";
import type { ObservedPlacementGroup } from "../domain/observed.ts";
import { whoHoldsGpus } from "../plan/holders.ts";
import { explainNoPlace, isMislaid } from "../plan/placement.ts";
import type { Agent } from "../ray/agent.ts";
import type { ActivityDependencies } from "./index.ts";
import { startJobClock } from "./job-clock.ts";

/** Free GPUs are handed out within some milliseconds; what is not there soon is asked for less and less often. */
const pollFirstMs = 30;
const pollMaxMs = 300;
const pollGrowth = 1.5;
/** Ray says INFEASIBLE for a moment while nodes join; it is believed when it lasts this long. */
const infeasibleForMs = 1_500;

export const placementActivities = ({ agent }: ActivityDependencies) => {
  return {
    /**
     * Reserves a replica's GPUs and returns when Ray has them, or when the planner would cut the replica in another way
     * now; older generations are removed first.
     */
    async reservePlacementGroup(
      input: ActionInput<"reservePlacementGroup">,
    ): Promise<{ readonly nodeIps: readonly string[] }> {
      const { spec, action } = input;
      const name = incarnationName(spec.name, action.replica, action.generation);
      const jobNowMs = startJobClock();
      let infeasibleSinceMs: number | undefined;
      let pollMs = pollFirstMs;
      for (let mustExist = false; ; mustExist = true) {
        const group = await agent.call(
          "ensurePlacementGroup",
          {
            name,
            bundles: action.bundles,
            ...(action.strategy ? { strategy: action.strategy } : {}),
            graceS: spec.stopGraceS,
            // A worker that Temporal has lost does not hear that the job has ended: it must not reserve anything again.
            mustExist,
          },
          { signal: cancellationSignal() },
        );
        if (group.state === "CREATED") return { nodeIps: group.nodeIps };
        const nowMs = jobNowMs();
        infeasibleSinceMs =
          group.schedulingState === "INFEASIBLE" ? (infeasibleSinceMs ?? nowMs) : undefined;
        // A job that has served waits for GPUs as long as it must: nodes that are gone may come back.
        const { deadlineMs } = action;
        if (deadlineMs !== undefined && nowMs - (infeasibleSinceMs ?? nowMs) >= infeasibleForMs)
          throw await noPlace(agent, input, "PlacementInfeasible");
        if (deadlineMs !== undefined && nowMs > deadlineMs)
          throw await noPlace(agent, input, "PlacementTimeout");
        if (infeasibleSinceMs !== undefined && (await isLaidOtherwise(agent, input, group)))
          return { nodeIps: [] };
        await sleep(pollMs);
        pollMs = Math.min(pollMs * pollGrowth, pollMaxMs);
      }
    },

    async removePlacementGroup({
      spec,
      action,
    }: ActionInput<"removePlacementGroup">): Promise<{ readonly removed: boolean }> {
      return agent.call("removePlacementGroup", {
        name: incarnationName(spec.name, action.replica, action.generation),
      });
    },
  };
};

type Input = ActionInput<"reservePlacementGroup">;

async function noPlace(
  agent: Agent,
  { spec, action }: Input,
  code: "PlacementInfeasible" | "PlacementTimeout",
): Promise<PdjobError> {
  const observed = await agent.call("list", { job: spec.name, nodes: true });
  const { replica, bundles, strategy = "STRICT_PACK" } = action;
  const layout = { bundles, strategy };
  const why = explainNoPlace({ spec, role: replica.role, layout }, observed.nodes ?? []);
  const holders = code === "PlacementTimeout" ? whoHoldsGpus(observed) : undefined;
  const waited =
    code === "PlacementTimeout" ? ` within the job's timeout of ${spec.timeoutS} s` : "";
  return new PdjobError(
    code,
    `No placement group for ${replicaName(replica)} g${action.generation}${waited}. ${why}${holders ? ` Now ${holders}.` : ""}`,
  );
}

/** Would the planner, which sees this group as well, ask for another one now? */
async function isLaidOtherwise(
  agent: Agent,
  { spec, action }: Input,
  group: ObservedPlacementGroup,
): Promise<boolean> {
  const { nodes } = await agent.call("nodes", {}, { signal: cancellationSignal() });
  return isMislaid(group, spec, action.replica.role, nodes);
}
