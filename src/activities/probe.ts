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
import type { JobSpec } from "../domain/spec.ts";
import type { VerbResult } from "../ray/contract.ts";
import type { ActivityDependencies } from "./index.ts";
import { requireProxyPlace } from "./proxy-place.ts";
import { resolveSecrets } from "./secrets.ts";

/** A command that must be run for it imports vLLM: 10 s on a quick disk, and a minute on a slow or busy node. */
const answerTimeoutS = 90;
/** How long an answer counts that nothing was refused by. */
const freshMs = 10 * 60_000;
const cachedMax = 256;

type Node = VerbResult<"nodes">["nodes"][number];

export const probeActivities = ({ agent }: ActivityDependencies) => {
  const cache = new Map<string, { readonly atMs: number; readonly reading: Reading }>();

  /** An answer holds for all jobs with the same command and environment on that node; a failure is asked again. */
  async function ask(probe: Probe<Node>, cwd: string): Promise<Reading> {
    const { node, argv, env } = probe;
    const known = knownOf(probe);
    if (known) return known;
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
    if (readVersion(reading) !== undefined) remember(keyOf(probe), reading);
    return reading;
  }

  function knownOf(probe: Probe<Node>): Reading | undefined {
    const known = cache.get(keyOf(probe));
    return known && Date.now() - known.atMs < freshMs ? known.reading : undefined;
  }

  function remember(key: string, reading: Reading): void {
    cache.delete(key);
    cache.set(key, { atMs: Date.now(), reading });
    for (const [oldest] of cache) {
      if (cache.size <= cachedMax) return;
      cache.delete(oldest);
    }
  }

  async function judge(spec: JobSpec, probes: readonly Probe<Node>[]) {
    const readings = await Promise.all(probes.map((probe) => ask(probe, spec.workingDir)));
    const { version, notes } = judgeVersion(spec, readings);
    const { errors, warnings } = versionVerdict(spec, version);
    // Whoever is refused installs another vLLM and tries again: that one must be seen.
    if (errors.length > 0) for (const probe of probes) cache.delete(keyOf(probe));
    return { version, notes: [...notes, ...warnings], errors };
  }

  return {
    /**
     * Asks the nodes for the engines' vLLM, and the head node whether it can take the job's first proxy. Fails with
     * SpecInvalid when that vLLM cannot run the job's connector, and with ProxyNotStarted; that something cannot be read
     * is no failure. Nothing is refused by an answer of earlier: it may be out of date.
     */
    async probeEngine({ spec, action }: ActionInput<"probeEngine">): Promise<EngineVersion> {
      const { nodes } = await agent.call("nodes", {}, { signal: cancellationSignal() });
      const probes = probesOf(spec, nodes);
      const isOfEarlier = probes.some((probe) => knownOf(probe) !== undefined);
      const proxyPlace = action.isProxyNew ? requireProxyPlace(agent, spec) : undefined;
      const [first] = await Promise.all([judge(spec, probes), proxyPlace]);
      const again = first.errors.length > 0 && isOfEarlier;
      const { version, notes, errors } = again ? await judge(spec, probes) : first;
      const problems = [...errors, ...sideChannelProblems(spec, nodes)];
      if (problems.length > 0) throw new PdjobError("SpecInvalid", problems.join("\n"));
      return { ...(version === undefined ? {} : { version }), notes };
    },
  };
};

const keyOf = ({ node, argv, env }: Probe<Node>): string => JSON.stringify([node.id, argv, env]);
