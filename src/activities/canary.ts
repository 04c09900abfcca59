import { cancellationSignal, sleep } from "@temporalio/activity";
import type { ActionInput, ActionOf } from "../domain/action.ts";
import { pairOf } from "../domain/canary.ts";
import type { CanaryStage } from "../domain/canary.ts";
import { parseVersion } from "../domain/connectors/version.ts";
import { PdjobError } from "../domain/errors.ts";
import { incarnationName } from "../domain/names.ts";
import { defaultHealth } from "../domain/spec.ts";
import type { JobSpec } from "../domain/spec.ts";
import type { VerbResult } from "../ray/contract.ts";
import { renderCanary } from "../render/canary.ts";
import type { ActivityDependencies } from "./index.ts";
import { startJobClock } from "./job-clock.ts";
import { resolveSecrets } from "./secrets.ts";

/** For both legs; an engine that needs longer is asked again. */
const answerTimeoutS = 30;
const triesMin = 3;
const pauseMs = 500;
/** Beyond the time in which probes notice that one of the engines does not answer any more. */
const marginMs = 3_000;

type Answer = VerbResult<"canary">;

/** Nothing came of it: one of the two is not there any more. The planner looks again. */
type Moot = undefined;

export const canaryActivities = ({ agent }: ActivityDependencies) => ({
  /**
   * Sends a request through two replicas, from decode's node, until one has come through. Fails with CanaryFailed: soon
   * when the engines say what they will say again, after the time in which a dead engine is noticed when one gives
   * errors, and at the deadline when one is only slow.
   */
  async sendCanary({
    spec,
    action,
  }: ActionInput<"sendCanary">): Promise<{ readonly notes: readonly string[] } | Moot> {
    const nowMs = startJobClock();
    const { intervalS, timeoutS, failures } = spec.health ?? defaultHealth;
    const brokenAtMs = nowMs() + failures * (intervalS + timeoutS) * 1_000 + marginMs;
    const names = namesOf(spec, action);
    const asked = await requestOf(spec, action, names);
    for (let tries = 1; ; tries++) {
      const answer = await agent
        .call("canary", asked, { signal: cancellationSignal() })
        .catch(unlessOneIsGone);
      if (!answer) return undefined;
      if (answer.passed)
        return { notes: answer.note === undefined ? [] : [noteOf(action, answer)] };
      if (!(await areHealthy())) return undefined;
      const untilMs = { wrong: 0, failed: brokenAtMs, late: action.deadlineMs }[
        answer.how ?? "late"
      ];
      if (tries >= triesMin && nowMs() >= untilMs) throw canaryFailed(action, answer);
      await sleep(pauseMs);
    }

    /** The actor that was to send it may have been stopped meanwhile, or hang: asking it again would never end. */
    async function unlessOneIsGone(error: unknown): Promise<Moot> {
      if (!(await areHealthy())) return undefined;
      if (nowMs() < action.deadlineMs) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      const text = `Canary ${wayOf(action)} could not be sent: ${reason}`;
      throw new PdjobError("CanaryFailed", text, error);
    }

    async function areHealthy(): Promise<boolean> {
      const signal = cancellationSignal();
      const both = await Promise.all(
        Object.values(names).map((name) => agent.call("replicaStatus", { name }, { signal })),
      );
      return both.every(({ state }) => state === "healthy");
    }
  },
});

type SendCanary = ActionOf<"sendCanary">;

function namesOf({ name }: JobSpec, { replica, generation, partner }: SendCanary) {
  const own = incarnationName(name, replica, generation);
  const other = incarnationName(name, partner.replica, partner.generation);
  return replica.role === "prefill"
    ? { prefill: own, decode: other }
    : { prefill: other, decode: own };
}

async function requestOf(
  spec: JobSpec,
  { urls, engineVersion }: SendCanary,
  names: ReturnType<typeof namesOf>,
) {
  const version = engineVersion === undefined ? undefined : parseVersion(engineVersion);
  const { keys, ...rendered } = renderCanary(spec, version);
  const found = await resolveSecrets(keys, "api_key");
  const place = (role: "prefill" | "decode") => ({
    url: urls[role],
    ...(found[role] === undefined ? {} : { key: found[role] }),
  });
  return {
    name: names.decode,
    ...rendered,
    prefill: place("prefill"),
    decode: place("decode"),
    timeoutS: answerTimeoutS,
  };
}

const wayOf = (action: SendCanary): string => {
  const { prefill, decode } = pairOf(action, action.partner);
  return `${prefill} → ${decode}`;
};

const noteOf = (action: SendCanary, { note }: Answer): string =>
  `canary ${wayOf(action)}: ${note}, so nothing more was asked of it`;

/** What to look at, by how far it came. */
const advice: Readonly<Record<CanaryStage, string>> = {
  reach: "Do the nodes reach each other on all ports, and is there no firewall between them?",
  model: "Give both roles the same served_model_name, or leave it to the model's own name in both.",
  prefill: "Is its kv_role one that sends KV (kv_producer, or kv_both)? Read its log.",
  decode:
    "Could it fetch the KV? Read the logs of both: the connector's ports must be reachable from node to node.",
  kv: "Is its kv_role one that receives KV (kv_consumer, or kv_both), and are the connector's ports reachable from node to node? Read the logs of both.",
};

function canaryFailed(action: SendCanary, { stage = "reach", message = "" }: Answer): PdjobError {
  const said = `Canary ${wayOf(action)} failed at stage ${stage}: ${message}.`;
  return new PdjobError("CanaryFailed", `${said} ${advice[stage]}`);
}
