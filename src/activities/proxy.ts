import { cancellationSignal, sleep } from "@temporalio/activity";
import type { ActionInput, ProxyCommand } from "../domain/action.ts";
import { membersAtStart } from "../domain/membership.ts";
import type { HttpCall, Telling } from "../domain/membership.ts";
import { proxyName } from "../domain/names.ts";
import type { Membership, ObservedProxy } from "../domain/observed.ts";
import type { JobSpec } from "../domain/spec.ts";
import { renderTelling } from "../render/membership.ts";
import { builtinProgram, renderProxy } from "../render/proxy.ts";
import type { ActivityDependencies } from "./index.ts";
import { untilDrained, untilLeft } from "./drain.ts";
import { uploadedFiles } from "./files.ts";
import { fingerprint } from "./fingerprint.ts";
import { latestMs, startJobClock } from "./job-clock.ts";
import { proxyKeysEnv } from "./proxy-keys.ts";
import { resolveSecrets } from "./secrets.ts";

const startPollEveryMs = 200;
/** Our own proxy is up within a second or never, whatever the job's timeout; an external one may load a tokenizer first. */
const builtinStartMaxS = 120;

export const proxyActivities = ({ agent, readProxyProgram }: ActivityDependencies) => ({
  /** The proxy's command for these members. Recorded in history: what runs is what was shown. */
  async renderProxy({ spec, action }: ActionInput<"renderProxy">): Promise<ProxyCommand> {
    return renderProxy(spec, action.members);
  },

  /**
   * Starts the rendered command on the head node and returns when it answers. An older generation of the built-in proxy
   * hands its listening socket on and serves meanwhile; that of any other stops first.
   */
  async runProxy({ spec, action }: ActionInput<"runProxy">): Promise<ObservedProxy> {
    const { argv, builtin } = action.command;
    const files = builtin ? [{ path: builtinProgram, text: await readProxyProgram() }] : [];
    const known = membersAtStart(spec.scheduler, action.command.members);
    // 1 = asked for by an earlier version of ours, which did not number them.
    const generation = builtin ? (action.membershipGeneration ?? 1) : 0;
    const membership = { generation, members: known };
    const telling = await tellingOf(spec, membership);
    const wanted = {
      name: proxyName(spec.name, action.generation),
      argv,
      env: { ...(await resolveSecrets(spec.envs)), ...(builtin ? await proxyKeysEnv(spec) : {}) },
      cwd: spec.workingDir,
      host: "0.0.0.0",
      port: spec.scheduler.port,
      builtin,
      files,
      specHash: fingerprint([
        argv,
        spec.envs,
        ...(spec.scheduler.auth ? [spec.scheduler.auth] : []),
      ]),
      leaseS: spec.leaseS,
      startTimeoutS: builtin ? Math.min(spec.timeoutS, builtinStartMaxS) : spec.timeoutS,
      graceS: spec.stopGraceS,
      ...(action.run === undefined ? {} : { run: action.run }),
      ...(builtin || telling ? { membership } : {}),
      ...(telling ? { telling } : {}),
      // Our own proxy needs none of them, and its program lies in the working directory.
      ...(builtin ? {} : await uploadedFiles(agent, spec, action)),
    };
    const nowMs = startJobClock();
    const startedMs = nowMs();
    for (let mustExist = false; ; mustExist = true) {
      // The agent waits a few seconds at a time, and fails with ProxyTimeout when the last of them is over.
      const elapsedS = (nowMs() - startedMs) / 1_000;
      const proxy = await agent.call(
        "ensureProxy",
        // As with a placement group, what was stopped meanwhile is not for this attempt to start again.
        { ...wanted, elapsedS, mustExist },
        { signal: cancellationSignal() },
      );
      if (proxy.state !== "starting") return proxy;
      await sleep(startPollEveryMs);
    }
  },

  /** Gives the running proxy its members; returns when it has acknowledged them, or its owner has told it all. */
  async setMembership({
    spec,
    action,
  }: ActionInput<"setMembership">): Promise<{ readonly acknowledged: number }> {
    const name = proxyName(spec.name, action.proxyGeneration);
    const { generation, members, closing } = action;
    const membership = { generation, members, ...(closing ? { closing } : {}) };
    const telling = await tellingOf(spec, membership);
    return agent.call("setMembership", { name, membership, ...(telling ? { telling } : {}) });
  },

  /**
   * Waits for every request in flight, or for the clients of a proxy that was replaced, until `deadlineMs` at most. Fails
   * as `list` does, and is then tried again.
   */
  async drainProxy({
    spec,
    action,
  }: ActionInput<"drainProxy">): Promise<{ readonly left?: number }> {
    const nowMs = startJobClock();
    const longestS = Math.max(spec.drainS.prefill, spec.drainS.decode);
    const endMs = latestMs(action.deadlineMs, longestS * 1_000);
    if (action.generation !== undefined)
      return untilLeft(agent, {
        job: spec.name,
        name: proxyName(spec.name, action.generation),
        nowMs,
        endMs,
        longestMs: longestS * 1_000,
      });
    return untilDrained(agent, { job: spec.name, nowMs, endMs });
  },

  async stopProxy({
    spec,
    action,
  }: ActionInput<"stopProxy">): Promise<{ readonly stopped: boolean }> {
    const name = proxyName(spec.name, action.generation);
    return agent.call("stopProxy", { name, graceS: action.graceS });
  },
});

/** The calls or the file of a membership, secrets filled in at the last moment. */
async function tellingOf(spec: JobSpec, membership: Membership): Promise<Telling | undefined> {
  const telling = renderTelling(spec, membership);
  if (telling?.kind !== "http") return telling;
  const withSecrets = async <C extends HttpCall>(call: C | undefined, key: string) =>
    call && {
      ...call,
      headers: await resolveSecrets(call.headers, `scheduler.http.${key}.headers`),
    };
  const calls = telling.calls.map(async ({ name, add, remove }) => {
    const [adding, removing] = [await withSecrets(add, "add"), await withSecrets(remove, "remove")];
    return { name, ...(adding ? { add: adding } : {}), ...(removing ? { remove: removing } : {}) };
  });
  const list = await withSecrets(telling.list, "list");
  return { kind: "http", calls: await Promise.all(calls), ...(list ? { list } : {}) };
}
