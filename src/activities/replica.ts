import { cancellationSignal, sleep } from "@temporalio/activity";
import type { ActionInput } from "../domain/action.ts";
import { PdjobError } from "../domain/errors.ts";
import { httpUrl, incarnationName, rankName, replicaName } from "../domain/names.ts";
import type { ReplicaId } from "../domain/role.ts";
import type { Endpoint, JobSpec } from "../domain/spec.ts";
import { engineExited, firstExited, lastLines } from "../plan/condemn.ts";
import { afterExit } from "../plan/next-step.ts";
import type { ActivityDependencies } from "./index.ts";
import { untilDrained } from "./drain.ts";
import { latestMs, startJobClock } from "./job-clock.ts";
import { untilQuiet } from "./quiet.ts";
import { healthPath, startRanks } from "./ranks.ts";

const pollEveryMs = 250;
const logTailBytes = 4_000;

function unlessGroupIsGone(error: unknown): undefined {
  if (error instanceof PdjobError && error.code === "PlacementPending") return undefined;
  throw error;
}

export const replicaActivities = ({ agent }: ActivityDependencies) => {
  /** Rank 0's before the others': when it ended because of one of them, that one is seen to have ended too. */
  async function statuses(names: readonly string[]) {
    const ask = (name: string) =>
      agent.call("replicaStatus", { name }, { signal: cancellationSignal() });
    const [first = "", ...rest] = names;
    return [await ask(first), ...(await Promise.all(rest.map(ask)))];
  }

  async function logTail(name: string): Promise<string> {
    const { text } = await agent
      .call("logs", { name, maxBytes: logTailBytes })
      .catch(() => ({ text: "" }));
    return text.trimEnd();
  }

  return {
    /** Undefined when the placement group is gone: the planner then reserves another. */
    startPrefill: (input: ActionInput<"startPrefill">): Promise<Endpoint | undefined> =>
      startRanks(agent, input).catch(unlessGroupIsGone),
    startDecode: (input: ActionInput<"startDecode">): Promise<Endpoint | undefined> =>
      startRanks(agent, input).catch(unlessGroupIsGone),

    /** The address at which prefill 0 hands out KV: what `{KV_IP}` stands for in the other replicas' commands. */
    async readKvIp({
      spec,
      action,
    }: ActionInput<"readKvIp">): Promise<{ readonly kvIp: string } | undefined> {
      const name = incarnationName(spec.name, action.replica, action.generation);
      const status = await agent.call("replicaStatus", { name });
      // Gone meanwhile: the planner replaces it and asks again.
      if (status.state === "absent" || !status.endpoint) return undefined;
      return { kvIp: status.endpoint.host };
    },

    /**
     * Ends when the engine answers /health, and fails at once when its process, or that of any rank, ends. Hands other
     * changes to the planner.
     */
    async waitHealthy({
      spec,
      action,
    }: ActionInput<"waitHealthy">): Promise<{ readonly state: string }> {
      const { replica, generation, bundles = [{}] } = action;
      const names = bundles.map((_, rank) => rankName(spec.name, replica, generation, rank));
      const nowMs = startJobClock();
      for (;;) {
        const [first, ...followers] = await statuses(names);
        const ranks = [first, ...followers].flatMap((one) =>
          one === undefined || one.state === "absent" ? [] : [one],
        );
        const ended = firstExited(ranks);
        const isWhole = ranks.length === names.length && followers.every(isRunning);
        if (ended && isWhole) {
          const { code, message } = engineExited(spec.name, replicaName(replica), ended);
          throw new PdjobError(code, message);
        }
        if (first?.state !== "starting" || !isWhole) return { state: first?.state ?? "absent" };
        if (nowMs() > action.deadlineMs)
          throw await unhealthyInTime({ spec, replica, generation, endpoint: first.endpoint });
        await sleep(pollEveryMs);
      }
    },

    /**
     * Waits for the requests in flight through the proxy, or, when it does not count them, until the engine has been
     * without any for `quietS`; until `deadlineMs` at most. Fails as `list` does, and is then tried again.
     */
    async drainReplica({
      spec,
      action,
    }: ActionInput<"drainReplica">): Promise<{ readonly left?: number }> {
      const name = incarnationName(spec.name, action.replica, action.generation);
      const nowMs = startJobClock();
      const endMs = latestMs(action.deadlineMs, spec.drainS[action.replica.role] * 1_000);
      if (action.quietS !== undefined)
        return untilQuiet(agent, name, { quietS: action.quietS, nowMs, endMs });
      return untilDrained(agent, { job: spec.name, incarnation: name, nowMs, endMs });
    },

    async stopReplica({
      spec,
      action,
    }: ActionInput<"stopReplica">): Promise<{ readonly stopped: boolean }> {
      const name = incarnationName(spec.name, action.replica, action.generation);
      return agent.call("stopReplica", { name, graceS: action.graceS });
    },
  };

  async function unhealthyInTime({
    spec,
    replica,
    generation,
    endpoint,
  }: {
    readonly spec: JobSpec;
    readonly replica: ReplicaId;
    readonly generation: number;
    readonly endpoint: Endpoint | undefined;
  }): Promise<PdjobError> {
    const name = replicaName(replica);
    const where = endpoint
      ? ` on ${httpUrl(endpoint.host, endpoint.ports["http"])}${healthPath}`
      : "";
    const advice =
      "Increase `timeout` in the config if the model needs longer to load; otherwise read its log.";
    const tail = lastLines(await logTail(incarnationName(spec.name, replica, generation)));
    const next = afterExit({ job: spec.name, name, generation });
    return new PdjobError(
      "EngineHealthTimeout",
      `${name} g${generation} was not healthy${where} within the job's timeout of ${spec.timeoutS} s. ${advice}${tail}${next}`,
    );
  }
};

/** A rank that vanished, or lost its processes with its actor, is a matter for the planner. */
const isRunning = ({ state }: { readonly state: string }): boolean =>
  state === "healthy" || state === "exited";
