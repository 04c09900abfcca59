import { createHash } from "node:crypto";
import { cancellationSignal, sleep } from "@temporalio/activity";
import type { ActionInput } from "../domain/action.ts";
import { PdjobError } from "../domain/errors.ts";
import { incarnationName, replicaName } from "../domain/names.ts";
import { defaultHealth } from "../domain/spec.ts";
import type { Endpoint, JobSpec } from "../domain/spec.ts";
import { describeExit, lastLines } from "../plan/condemn.ts";
import { replicaBundles } from "../plan/placement.ts";
import { asksForProxyHost, enginePorts, renderEngine } from "../render/engine.ts";
import type { ActivityDependencies } from "./index.ts";
import { requestsLeft } from "./drain.ts";
import { resolveSecrets } from "./secrets.ts";

const pollEveryMs = 500;
const drainPollEveryMs = 200;
const healthPath = "/health";
const logTailBytes = 4_000;

const probeOf = ({ health = defaultHealth }: JobSpec) => ({ path: healthPath, ...health });

function unlessGroupIsGone(error: unknown): undefined {
  if (error instanceof PdjobError && error.code === "PlacementPending") return undefined;
  throw error;
}

export const replicaActivities = ({ agent }: ActivityDependencies) => {
  /** The actor chooses the ports on its node; the command is rendered for them and handed over in a second call. */
  async function startEngine({
    spec,
    action,
  }: ActionInput<"startPrefill"> | ActionInput<"startDecode">): Promise<Endpoint | undefined> {
    const { replica, generation, kvIp } = action;
    const name = incarnationName(spec.name, replica, generation);
    const bundle = replicaBundles(spec, replica.role)[0] ?? {};
    const signal = cancellationSignal();
    const { endpoint } = await agent.call(
      "ensureReplica",
      {
        name,
        placementGroup: name,
        gpus: bundle.GPU ?? 0,
        cpus: bundle.CPU ?? 0,
        ports: enginePorts(spec, replica.role, undefined),
        leaseS: spec.leaseS,
        graceS: spec.stopGraceS,
      },
      { signal },
    );
    if (!endpoint) throw new PdjobError("RayUnreachable", `The actor of ${name} does not answer.`);
    const { argv, env, files, emptied } = renderEngine(spec, {
      replica,
      generation,
      ...endpoint,
      kvIp: kvIp ?? endpoint.host,
      ...(asksForProxyHost(spec, replica.role, undefined) ? { proxyHost: await headIp() } : {}),
    });
    const text = JSON.stringify(files.length > 0 ? { argv, env, files } : { argv, env });
    const specHash = createHash("sha256").update(text).digest("hex").slice(0, 16);
    const cwd = spec.workingDir;
    await agent.call(
      "startEngine",
      {
        name,
        argv,
        env: await resolveSecrets(env),
        cwd,
        specHash,
        probe: probeOf(spec),
        files,
        emptied,
      },
      { signal },
    );
    return endpoint;
  }

  /** Proxies run on the head node. */
  async function headIp(): Promise<string> {
    const { nodes } = await agent.call("nodes", {}, { signal: cancellationSignal() });
    const head = nodes.find(({ alive, isHead }) => alive && isHead);
    if (head) return head.ip;
    throw new PdjobError("RayUnreachable", "The cluster has no head node that is alive.");
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
      startEngine(input).catch(unlessGroupIsGone),
    startDecode: (input: ActionInput<"startDecode">): Promise<Endpoint | undefined> =>
      startEngine(input).catch(unlessGroupIsGone),

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

    /** Ends when the engine answers /health, and fails at once when its process ends. Hands other changes to the planner. */
    async waitHealthy({
      spec,
      action,
    }: ActionInput<"waitHealthy">): Promise<{ readonly state: string }> {
      const name = incarnationName(spec.name, action.replica, action.generation);
      const who = `${replicaName(action.replica)} g${action.generation}`;
      for (;;) {
        const status = await agent.call(
          "replicaStatus",
          { name },
          { signal: cancellationSignal() },
        );
        if (status.state === "exited")
          throw new PdjobError("EngineExited", describeExit(`The engine of ${who}`, status));
        if (status.state !== "starting") return { state: status.state };
        if (Date.now() > action.deadlineMs)
          throw await unhealthyInTime(who, name, spec, status.endpoint);
        await sleep(pollEveryMs);
      }
    },

    /** Waits for the requests in flight through the proxy, until `deadlineMs` at most. Never fails. */
    async drainReplica({
      spec,
      action,
    }: ActionInput<"drainReplica">): Promise<{ readonly left?: number }> {
      const name = incarnationName(spec.name, action.replica, action.generation);
      for (;;) {
        const { proxies } = await agent.call(
          "list",
          { job: spec.name },
          { signal: cancellationSignal() },
        );
        const left = requestsLeft(proxies, name);
        if (left === 0 || Date.now() > action.deadlineMs) return left === undefined ? {} : { left };
        await sleep(drainPollEveryMs);
      }
    },

    async stopReplica({
      spec,
      action,
    }: ActionInput<"stopReplica">): Promise<{ readonly stopped: boolean }> {
      const name = incarnationName(spec.name, action.replica, action.generation);
      return agent.call("stopReplica", { name, graceS: action.graceS });
    },
  };

  async function unhealthyInTime(
    who: string,
    name: string,
    spec: JobSpec,
    endpoint: Endpoint | undefined,
  ): Promise<PdjobError> {
    const where = endpoint
      ? ` on http://${endpoint.host}:${endpoint.ports["http"]}${healthPath}`
      : "";
    const advice =
      "Increase `timeout` in the config if the model needs longer to load; otherwise read its log.";
    const tail = lastLines(await logTail(name));
    return new PdjobError(
      "EngineHealthTimeout",
      `${who} was not healthy${where} within the job's timeout of ${spec.timeoutS} s. ${advice}${tail}`,
    );
  }
};
