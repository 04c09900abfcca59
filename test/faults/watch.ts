import { setTimeout as sleep } from "node:timers/promises";
import type { Observed } from "../../src/domain/observed.ts";
import { roles } from "../../src/domain/role.ts";
import type { Role } from "../../src/domain/role.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { allProcesses, incarnationOf, processesOf } from "../support/processes.ts";
import type { OwnRig } from "../support/rig.ts";
import { noticedWithinMs } from "./rules/amnesty.ts";
import type { Strike } from "./rules/amnesty.ts";
import { createJudge, odditiesOf, servingOf } from "./rules/judge.ts";
import type { Root } from "./rules/judge.ts";

const everyMs = 250;

/** A strike whose end is still looked for; `proxyPid` is that of the proxy's process before it. */
export interface OpenStrike extends Omit<Strike, "servedAgainMs"> {
  readonly proxyPid?: number | undefined;
  servedAgainMs?: number;
}

/**
 * Samples what must hold at every moment, and writes into each strike when the job served again. `stop` answers with
 * the violations, each once.
 */
export function watchInvariants(rig: OwnRig, spec: JobSpec, strikes: readonly OpenStrike[] = []) {
  const judge = createJudge();
  let stopping = false;

  async function run(): Promise<void> {
    while (!stopping) {
      const fromMs = Date.now();
      // Nothing is known of what is in Ray while it does not answer.
      const seen = await rig.agent.call("list", { job: spec.name }).catch(() => undefined);
      judge.see({ atMs: Date.now(), running: engineRootsOf(spec.name), seen });
      if (seen) noteServing(seen, fromMs, strikes);
      await sleep(everyMs);
    }
  }

  const running = run();
  return {
    async stop(): Promise<readonly string[]> {
      stopping = true;
      await running;
      return judge.violations();
    },
  };
}

/** A look that began before the strike was over says nothing of what came after it. */
function noteServing(seen: Observed, fromMs: number, strikes: readonly OpenStrike[]): void {
  const recent = strikes.filter(({ untilMs }) => fromMs < untilMs + noticedWithinMs);
  const struck = new Set(recent.flatMap(({ engines }) => engines));
  const serving = servingOf(seen, struck);
  if (roles.some((role) => serving[role].length === 0)) return;
  const pids = seen.proxies.map(({ pid }) => pid);
  for (const strike of strikes)
    if (fromMs >= strike.untilMs && !pids.includes(strike.proxyPid))
      strike.servedAgainMs ??= Date.now();
}

/** What is not as it should be of a job at rest. */
export const oddities = async (
  rig: OwnRig,
  spec: JobSpec,
  wanted: Readonly<Record<Role, number>>,
): Promise<readonly string[]> =>
  odditiesOf(await rig.agent.call("list", { job: spec.name }), engineRootsOf(spec.name), wanted);

/** Of each process tree of the job the first process, with the incarnation that it belongs to. */
function engineRootsOf(job: string): readonly Root[] {
  const marked = new Set(processesOf(job));
  return allProcesses()
    .filter(({ pid, parent }) => marked.has(pid) && !marked.has(parent))
    .flatMap(({ pid }): readonly Root[] => {
      const incarnation = incarnationOf(pid);
      return incarnation === undefined ? [] : [[pid, incarnation]];
    });
}
