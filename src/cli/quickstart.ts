import { setTimeout as sleep } from "node:timers/promises";
import { Option } from "commander";
import type { Command } from "commander";
import { request } from "undici";
import { connect } from "../client.ts";
import type { PdjobClient } from "../client.ts";
import { freePort } from "../dev/ports.ts";
import { startStack } from "../dev/stack.ts";
import type { Stack } from "../dev/stack.ts";
import type { JobSpec } from "../domain/spec.ts";
import { connectAgent } from "../ray/agent.ts";
import { requireSpec } from "./config-file.ts";
import { timed, untilInterrupted } from "./dev.ts";
import { Exit } from "./exit.ts";
import { follow, isOver } from "./follow.ts";
import { print } from "./output.ts";
import { prepareVllm } from "./quickstart-vllm.ts";
import { followToReady } from "./start.ts";

const root = new URL("../../", import.meta.url);
const requestTimeoutMs = 120_000;
const releasedTimeoutMs = 30_000;

interface QuickstartFlags {
  readonly exit?: boolean;
  readonly engine: "sim" | "vllm-cpu";
  readonly stateDir?: string;
}

/** The whole road on one machine: stack, job, requests through the proxy, what to try next. */
export function addQuickstart(program: Command): void {
  program
    .command("quickstart")
    .description("bring up everything on this machine, deploy an example and talk to it")
    .addOption(
      new Option("--engine <kind>", "what serves").choices(["sim", "vllm-cpu"]).default("sim"),
    )
    .option("--exit", "stop everything at the end instead of waiting for Ctrl-C")
    .option("--state-dir <dir>", "where the database, logs and the stack's address are kept")
    .addHelpText(
      "after",
      "\nExamples:\n  npm run quickstart\n  npm run quickstart -- --exit\n  npm run quickstart -- --engine vllm-cpu",
    )
    .action(async (flags: QuickstartFlags) => {
      const spec = await specFor(flags.engine);
      const stack = await startStack({
        ...(flags.stateDir ? { stateDir: flags.stateDir } : {}),
        onProgress: timed(),
      });
      try {
        await runOn(stack, spec, flags);
      } finally {
        await stack.stop();
        print("Temporal, Ray and the worker are stopped");
      }
    });
}

async function runOn(
  stack: Stack,
  spec: JobSpec,
  { engine, exit }: QuickstartFlags,
): Promise<void> {
  const client = await connect({
    address: stack.temporalAddress,
    taskQueue: stack.taskQueue,
    fallbackAddress: stack.temporalAddress,
  });
  const interrupted = untilInterrupted();
  try {
    if (engine === "sim")
      print(
        "\nThe engines of this job are SIMULATED: no model and no GPU, made-up words. (--engine vllm-cpu runs real vLLM.)",
      );
    await client.start(spec);
    await followToReady(client, spec);
    await talk(spec);
    if (!exit) {
      printNext(stack, spec);
      await interrupted;
    }
    print("\nstopping …");
    await client.stop(spec.name);
    await follow({ client, job: spec.name, until: ({ phase }) => isOver(phase) });
    await verifyReleased(client, stack, spec);
  } finally {
    await client.close();
  }
}

/** The example, on another port if its own is taken. */
async function specFor(engine: QuickstartFlags["engine"]): Promise<JobSpec> {
  const file = engine === "sim" ? "examples/quickstart.yaml" : "examples/vllm-cpu.yaml";
  const spec = requireSpec(new URL(file, root).pathname);
  const port = await freePort(spec.scheduler.port);
  if (port !== spec.scheduler.port)
    print(`port ${spec.scheduler.port} is taken; the proxy gets ${port}`);
  const moved = { ...spec, scheduler: { ...spec.scheduler, port } };
  return engine === "sim" ? moved : prepareVllm(moved);
}

async function talk({ scheduler, roles }: JobSpec): Promise<void> {
  const url = `http://127.0.0.1:${scheduler.port}/v1`;
  const model = String(roles.decode.params["served_model_name"] ?? roles.decode.model);
  const completion = await post(`${url}/completions`, {
    model,
    prompt: "The quick brown fox",
    max_tokens: 8,
  });
  print(`\ncompletion      ${JSON.parse(completion).choices[0].text}`);
  const messages = [{ role: "user", content: "Say something" }];
  const chat = await post(`${url}/chat/completions`, {
    model,
    messages,
    max_tokens: 8,
    stream: true,
  });
  const events = chat.split("\n").filter((line) => line.startsWith("data: {"));
  const text = events
    .map((line) => JSON.parse(line.slice("data: ".length)).choices[0]?.delta?.content ?? "")
    .join("");
  print(`streamed chat   ${text} (${events.length} events)`);
}

async function post(url: string, body: unknown): Promise<string> {
  const timeouts = { headersTimeout: requestTimeoutMs, bodyTimeout: requestTimeoutMs };
  const answer = await request(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    ...timeouts,
  });
  const text = await answer.body.text();
  if (answer.statusCode !== 200) throw new Exit(1, `${url} answered ${answer.statusCode}: ${text}`);
  return text;
}

function printNext({ uiUrl, temporalAddress }: Stack, { name, scheduler }: JobSpec): void {
  print(`
open   ${uiUrl}/namespaces/default/workflows/pdjob-${name}
try    ./bin/pdjob-client status ${name} --watch
       temporal --address ${temporalAddress} workflow signal -w pdjob-${name} --name scaleTo --input '{"role":"decode","replicas":3}'
       curl http://127.0.0.1:${scheduler.port}/v1/models
       ./bin/pdjob-client logs ${name} decode-0
       ./bin/pdjob-client stop ${name}

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
      await sleep(300);
    }
  } finally {
    await agent.close();
  }
}
