import type { Action } from "../domain/action.ts";
import { isReplacedProxy, targetOf } from "../domain/action.ts";
import { isClusterFault } from "../domain/errors.ts";
import type { Failure } from "../domain/errors.ts";
import { restartsMax } from "../domain/spec.ts";
import type { Memory } from "../domain/memory.ts";
import { withFailedCanary } from "./proven.ts";

/** Characters of a failure's last log lines that are kept once the job has served: memory travels with every plan. */
const tailMax = 1_500;

/** What to remember of a failure, so that the next plan can judge whom it condemns. */
export function rememberFailure(
  memory: Memory,
  action: Action,
  failure: Failure,
  nowMs: number,
): Memory {
  // The proxy serves on with the members it has: it is told again, not replaced.
  if (failure.code === "MembershipRefused") {
    const count = (memory.untold?.count ?? 0) + 1;
    return { ...memory, untold: { message: failure.message, atMs: nowMs, count } };
  }
  if (failure.code === "CanaryFailed" && action.kind === "sendCanary")
    return withFailedCanary(memory, action, failure.message, nowMs);
  // Neither changed anything that must be undone: what went wrong is seen by looking again.
  if (action.kind === "setMembership" || action.kind === "readKvIp") return memory;
  const target = targetOf(action);
  // Another one serves; whatever is left of it is found again.
  if (isReplacedProxy(target)) return memory;
  const known = memory.generations[target] ?? 0;
  const generation = ("generation" in action ? action.generation : undefined) ?? known;
  const message = memory.served ? shortened(failure.message) : failure.message;
  const before = memory.failures[target]?.failed ?? [];
  const isAnother = !isClusterFault(failure) && !before.includes(generation);
  const failed = isAnother ? [...before, generation].slice(-restartsMax) : before;
  const recorded = { code: failure.code, message, generation, atMs: nowMs, failed };
  return { ...memory, failures: { ...memory.failures, [target]: recorded } };
}

function shortened(message: string): string {
  const [first = ""] = message.split("\n", 1);
  const rest = message.slice(first.length);
  return rest.length > tailMax ? `${first}\n…${rest.slice(-tailMax)}` : message;
}
