import type { ActionOf, ProxyCommand } from "../domain/action.ts";
import type { Member } from "../domain/observed.ts";
import type { PlanInput } from "../domain/plan.ts";
import { lacksFiles, uploaded } from "./files.ts";
import type { ReplicaStep } from "./replica.ts";
import { sameMembers } from "./world.ts";

/** The next step to a proxy with these members: its command, or, once that is rendered, to run it. */
export function renderThenRun(
  members: readonly Member[],
  input: PlanInput,
  reason: string,
  replaces = false,
): ReplicaStep {
  if (lacksFiles(input)) return undefined;
  const { memory } = input;
  const rendered = memory.proxyCommand;
  if (rendered && isRendered(members, input))
    return { action: run(rendered.generation, rendered.command, input, reason) };
  const generation = Math.max(memory.generations["proxy"] ?? 0, spentGeneration(input)) + 1;
  return { action: { kind: "renderProxy", generation, members, replaces, reason } };
}

/** What the built-in proxy is started with has a number of its own, so that no older membership takes its place. */
export const run = (
  generation: number,
  command: ProxyCommand,
  input: PlanInput,
  reason: string,
): ActionOf<"runProxy"> => ({
  kind: "runProxy",
  generation,
  command,
  ...uploaded(input),
  ...(input.spec.scheduler.membership === "builtin"
    ? { membershipGeneration: input.memory.membershipGeneration + 1 }
    : {}),
  deadlineMs: input.nowMs + input.spec.timeoutS * 1_000,
  reason,
});

/** Is there a command for these members that was not run yet? */
export function isRendered(members: readonly Member[], input: PlanInput): boolean {
  const { proxyCommand } = input.memory;
  return (
    proxyCommand !== undefined &&
    proxyCommand.generation > spentGeneration(input) &&
    sameMembers(proxyCommand.command.members, members)
  );
}

/** The newest generation that ran, failed to, or is to run no more. */
const spentGeneration = ({ desired, memory }: PlanInput): number =>
  Math.max(
    memory.started["proxy"] ?? 0,
    memory.failures["proxy"]?.generation ?? 0,
    desired.retired?.["proxy"] ?? 0,
  );
