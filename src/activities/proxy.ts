import { createHash } from "node:crypto";
import { cancellationSignal, sleep } from "@temporalio/activity";
import type { ActionInput, ProxyCommand } from "../domain/action.ts";
import { proxyName } from "../domain/names.ts";
import type { ObservedProxy } from "../domain/observed.ts";
import { renderProxy } from "../render/proxy.ts";
import type { ActivityDependencies } from "./index.ts";
import { requestsLeft } from "./drain.ts";
import { resolveSecrets } from "./secrets.ts";

/** Where the built-in proxy's program is put, relative to the working directory; its argv names the same path. */
const programPath = ".pdjob/pdjob-proxy.mjs";
const drainPollEveryMs = 200;
const startPollEveryMs = 200;
/** Our own proxy is up within a second or never, whatever the job's timeout; an external one may load a tokenizer first. */
const builtinStartMaxS = 120;

export const proxyActivities = ({ agent, readProxyProgram }: ActivityDependencies) => ({
  /** The proxy's command for these members. Recorded in history: what runs is what was shown. */
  async renderProxy({ spec, action }: ActionInput<"renderProxy">): Promise<ProxyCommand> {
    return renderProxy(spec, action.members);
  },

  /** Starts the rendered command on the head node and returns when it answers; an older generation stops first. */
  async runProxy({ spec, action }: ActionInput<"runProxy">): Promise<ObservedProxy> {
    const { argv, builtin } = action.command;
    const files = builtin ? [{ path: programPath, text: await readProxyProgram() }] : [];
    const wanted = {
      name: proxyName(spec.name, action.generation),
      argv,
      env: await resolveSecrets(spec.envs),
      cwd: spec.workingDir,
      host: "0.0.0.0",
      port: spec.scheduler.port,
      builtin,
      files,
      specHash: createHash("sha256")
        .update(JSON.stringify([argv, spec.envs]))
        .digest("hex")
        .slice(0, 16),
      leaseS: spec.leaseS,
      startTimeoutS: builtin ? Math.min(spec.timeoutS, builtinStartMaxS) : spec.timeoutS,
      graceS: spec.stopGraceS,
    };
    const startedMs = Date.now();
    for (;;) {
      // The agent waits a few seconds at a time, and fails with ProxyTimeout when the last of them is over.
      const elapsedS = (Date.now() - startedMs) / 1_000;
      const proxy = await agent.call(
        "ensureProxy",
        { ...wanted, elapsedS },
        { signal: cancellationSignal() },
      );
      if (proxy.state !== "starting") return proxy;
      await sleep(startPollEveryMs);
    }
  },

  /** Gives the running proxy its members; returns when it has acknowledged them. */
  async setMembership({
    spec,
    action,
  }: ActionInput<"setMembership">): Promise<{ readonly acknowledged: number }> {
    const name = proxyName(spec.name, action.proxyGeneration);
    const { generation, members } = action;
    return agent.call("setMembership", { name, membership: { generation, members } });
  },

  /** Waits for every request in flight, until `deadlineMs` at most. Never fails. */
  async drainProxy({
    spec,
    action,
  }: ActionInput<"drainProxy">): Promise<{ readonly left?: number }> {
    for (;;) {
      const { proxies } = await agent.call(
        "list",
        { job: spec.name },
        { signal: cancellationSignal() },
      );
      const left = requestsLeft(proxies);
      if (left === 0 || Date.now() > action.deadlineMs) return left === undefined ? {} : { left };
      await sleep(drainPollEveryMs);
    }
  },

  async stopProxy({
    spec,
    action,
  }: ActionInput<"stopProxy">): Promise<{ readonly stopped: boolean }> {
    const name = proxyName(spec.name, action.generation);
    return agent.call("stopProxy", { name, graceS: action.graceS });
  },
});
