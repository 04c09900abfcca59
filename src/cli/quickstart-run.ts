import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { connect } from "../client.ts";
import type { PdjobClient } from "../client.ts";
import { plainServer } from "../client/server.ts";
import { freePort } from "../dev/ports.ts";
import { startStack } from "../dev/stack.ts";
import type { Stack } from "../dev/stack.ts";
import { workflowIdOf } from "../domain/names.ts";
import type { JobSpec } from "../domain/spec.ts";
import { connectAgent } from "../ray/agent.ts";
import { requireSpec } from "./config-file.ts";
import { timed } from "./dev.ts";
import { Exit, exitOf } from "./exit.ts";
import { follow, isOver } from "./follow.ts";
import { untilAborted } from "./interrupt.ts";
import { linesFor } from "./invocation.ts";
import { print, warn } from "./output.ts";
import { talk } from "./quickstart-requests.ts";
import { prepareVllm } from "./quickstart-vllm.ts";
import { followToReady } from "./start.ts";

const root = new URL("../../", import.meta.url);
/** A job that is not down by then, requests and all, is terminated: its engines end with Ray anyway. */
const stopTimeoutMs = 60_000;
const releasedTimeoutMs = 30_000;
const lookEveryMs = 300;

export interface QuickstartFlags {
  readonly exit?: boolean;
  readonly engine: "sim" | "vllm-cpu";
  readonly stateDir?: string;
}

/** Ends when all of it is done and stopped, or when it is interrupted. */
export async function runQuickstart(flags: QuickstartFlags, interrupt: AbortSignal): Promise<void> {
  const spec = await specFor(flags.engine, interrupt);
  const stack = await startStack({
    ...(flags.stateDir ? { stateDir: flags.stateDir } : {}),
    inMemory: true,
    signal: interrupt,
    onProgress: timed(),
  });
  try {
    if (flags.engine === "sim")
      print(
        "\nThe engines of this job are SIMULATED: no model and no GPU, made-up words. (--engine vllm-cpu runs real vLLM.)",
      );
    await runOn(stack, spec, interrupt, flags.exit ?? false);
  } finally {
    await stack.stop();
    print("Temporal, Ray and the worker are stopped");
  }
}

/** Nothing of the job outlives this, however it ends: neither on the server nor in Ray. */
async function runOn(
  stack: Stack,
  spec: JobSpec,
  interrupt: AbortSignal,
  exit: boolean,
): Promise<void> {
  const server = plainServer(stack.temporalAddress);
  const client = await connect({ server, taskQueue: stack.taskQueue });
  try {
    await client.start(spec);
    if (!(await followToReady(client, spec.name, interrupt))) throw new Exit(130);
    await talk(spec, interrupt);
    if (!exit) {
      await printNext(stack, spec);
      await untilAborted(interrupt);
    }
    await endJob(client, stack, spec);
  } catch (error) {
    await endJob(client, stack, spec).catch((second: unknown) => warn(exitOf(second).message));
    throw error;
  } finally {
    await client.close();
  }
}

/** Stops the job in order, or terminates it when that does not come to an end. One that has ended is left as it is. */
async function endJob(client: PdjobClient, stack: Stack, spec: JobSpec): Promise<void> {
  const job = spec.name;
  if (!(await client.isRunning(job))) return;
  print("\nstopping …");
  const signal = AbortSignal.timeout(stopTimeoutMs);
  const problem = await client
    .stop(job)
    .then(() => follow({ client, job, until: ({ phase }) => isOver(phase), signal }))
    .then((status) => (status ? undefined : `did not stop within ${stopTimeoutMs / 1_000} s`))
    .catch((error: unknown) => `could not be stopped in order: ${exitOf(error).message}`);
  if (problem === undefined) return verifyReleased(client, stack, spec);
  await client.terminate(job, "quickstart ends, and the job did not stop in order");
  print(`job ${job} was terminated, since it ${problem}`);
}

/** The example, on another port if its own is taken. */
async function specFor(
  engine: QuickstartFlags["engine"],
  interrupt: AbortSignal,
): Promise<JobSpec> {
  const file = engine === "sim" ? "examples/quickstart.yaml" : "examples/vllm-cpu.yaml";
  const spec = requireSpec(fileURLToPath(new URL(file, root)));
  const port = await freePort(spec.scheduler.port);
  if (port !== spec.scheduler.port)
    print(`port ${spec.scheduler.port} is taken; the proxy gets ${port}`);
  const moved = { ...spec, scheduler: { ...spec.scheduler, port } };
  return engine === "sim" ? moved : prepareVllm(moved, interrupt);
}

async function printNext(stack: Stack, { name, scheduler }: JobSpec): Promise<void> {
  const { client, temporal } = await linesFor(stack);
  const signal = ["workflow", "signal", "-w", workflowIdOf(name), "--name", "scaleTo"];
  print(`
open   ${stack.uiUrl}/namespaces/default/workflows/${workflowIdOf(name)}
try    ${client("status", name, "--watch")}
       ${temporal(...signal, "--input", '{"role":"decode","replicas":3}')}
       curl http://127.0.0.1:${scheduler.port}/v1/models
       ${client("logs", name, "decode-0")}
       ${client("stop", name)}

Ctrl-C stops everything.`);
}

/** Says only what was looked up: nothing of the job is left in Ray. */
async function verifyReleased(
  client: PdjobClient,
  { rayAddress }: Stack,
  { name }: JobSpec,
): Promise<void> {
  await client.result(name);
  const agent = connectAgent({ rayAddress });
  try {
    const untilMs = Date.now() + releasedTimeoutMs;
    for (;;) {
      const { replicas, placementGroups, proxies } = await agent.call("list", { job: name });
      const left = replicas.length + placementGroups.length + proxies.length;
      if (left === 0)
        return print(`job ${name} is stopped: 0 actors and 0 placement groups are left`);
      if (Date.now() > untilMs)
        throw new Exit(1, `${left} actors or placement groups of job ${name} are left in Ray.`);
      await sleep(lookEveryMs);
    }
  } finally {
    await agent.close();
  }
}
