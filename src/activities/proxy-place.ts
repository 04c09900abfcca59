import { cancellationSignal, sleep } from "@temporalio/activity";
import { PdjobError } from "../domain/errors.ts";
import type { JobSpec } from "../domain/spec.ts";
import type { Agent } from "../ray/agent.ts";
import { jobAtPort } from "../ray/port-holder.ts";

/** The proxy of a job that has just ended may need a moment to give its port up. */
const looksMax = 4;
const lookEveryMs = 1_000;

/**
 * Fails with ProxyNotStarted, in the words that `runProxy` would fail with once all engines have booted, when the head node
 * cannot run the job's proxy or its port is taken. That the head node does not answer is no failure: it is asked again then.
 */
export async function requireProxyPlace(agent: Agent, { scheduler, envs }: JobSpec): Promise<void> {
  const { port, membership } = scheduler;
  // With a PATH of the job's own another Node.js may be found.
  const needsNode = membership === "builtin" && envs["PATH"] === undefined;
  for (let look = 1; ; look++) {
    const found = await agent
      .call("checkHead", { port }, { signal: cancellationSignal() })
      .catch(() => undefined);
    if (!found) return;
    const { ip, nodeProblem, portProblem } = found;
    if (needsNode && nodeProblem !== undefined) throw notStarted(ip, nodeProblem);
    if (portProblem === undefined) return;
    if (look === looksMax) {
      const holder = await jobAtPort(agent, port).catch(() => undefined);
      const by = holder === undefined ? portProblem : `${portProblem}: job ${holder} has it`;
      const what = `port ${port} cannot be taken (${by}). Free it, or choose another \`scheduler.port\`.`;
      throw notStarted(ip, what);
    }
    await sleep(lookEveryMs);
  }
}

const notStarted = (ip: string, why: string): PdjobError =>
  new PdjobError("ProxyNotStarted", `The proxy cannot be started on the head node ${ip}: ${why}`);
