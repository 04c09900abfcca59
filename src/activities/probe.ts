import { cancellationSignal } from "@temporalio/activity";
import type { ActionInput } from "../domain/action.ts";
import type { EngineVersion } from "../domain/engine-version.ts";
import { PdjobError } from "../domain/errors.ts";
import {
  judgeVersion,
  probesOf,
  readVersion,
  sideChannelProblems,
  versionVerdict,
} from "../plan/probe.ts";
import type { Probe, Reading } from "../plan/probe.ts";
import type { VerbResult } from "../ray/contract.ts";
import type { ActivityDependencies } from "./index.ts";
import { resolveSecrets } from "./secrets.ts";

/** A command that must be run for it imports vLLM: 10 s on a quick disk, and a minute on a slow or busy node. */
const answerTimeoutS = 90;
/** How long an answer counts: a vLLM that is installed anew is seen by the next job. */
const freshMs = 10 * 60_000;
const cachedMax = 256;

type Node = VerbResult<"nodes">["nodes"][number];

export const probeActivities = ({ agent }: ActivityDependencies) => {
  const cache = new Map<string, { readonly atMs: number; readonly reading: Reading }>();

  /** An answer holds for all jobs with the same command and environment on that node; a failure is asked again. */
  async function ask({ node, argv, env }: Probe<Node>, cwd: string): Promise<Reading> {
    const key = JSON.stringify([node.id, argv, env]);
    const known = cache.get(key);
    if (known && Date.now() - known.atMs < freshMs) return known.reading;
    const answer = await agent.call(
      "probeEngine",
      {
        nodeId: node.id,
        argv,
        package: "vllm",
        env: await resolveSecrets(env),
        cwd,
        timeoutS: answerTimeoutS,
      },
      { signal: cancellationSignal() },
    );
    const reading = { nodeIp: node.ip, ...answer };
    if (readVersion(reading) !== undefined) remember(key, reading);
    return reading;
  }

  function remember(key: string, reading: Reading): void {
    cache.delete(key);
    cache.set(key, { atMs: Date.now(), reading });
    for (const [oldest] of cache) {
      if (cache.size <= cachedMax) return;
      cache.delete(oldest);
    }
  }

  return {
    /**
     * Asks the nodes for the engines' vLLM. Fails with SpecInvalid when that cannot run the job's connector; that it
     * cannot be read is no failure.
     */
    async probeEngine({ spec }: ActionInput<"probeEngine">): Promise<EngineVersion> {
      const { nodes } = await agent.call("nodes", {}, { signal: cancellationSignal() });
      const probes = probesOf(spec, nodes);
      const readings = await Promise.all(probes.map((probe) => ask(probe, spec.workingDir)));
      const { version, notes } = judgeVersion(spec, readings);
      const { errors: told, warnings } = versionVerdict(spec, version);
      const errors = [...told, ...sideChannelProblems(spec, nodes)];
      if (errors.length > 0) throw new PdjobError("SpecInvalid", errors.join("\n"));
      return { ...(version === undefined ? {} : { version }), notes: [...notes, ...warnings] };
    },
  };
};
