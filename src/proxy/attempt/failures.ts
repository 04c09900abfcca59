import type { Member } from "../../domain/observed.ts";
import type { Role } from "../../domain/role.ts";
import { howItFailed } from "../engines/failure.ts";
import type { Legs } from "./legs.ts";
import { failed } from "./outcome.ts";
import type { FailedAttempt } from "./outcome.ts";

/** Of an engine's own words in ours. */
const wordsMax = 200;
/** What a draining vLLM 0.32 says to a new request, as a 500: it has done nothing with it, and answers /health still. */
const drainingWords = "cannot schedule new futures after shutdown";

/** What a failed leg means. Whoever had the request is asked whether it has survived it. */
export function createFailures(legs: Legs) {
  async function answeredError(
    member: Member,
    role: Role,
    { status, text }: { readonly status: number; readonly text: string },
  ): Promise<FailedAttempt> {
    const why = `answered ${status}: ${text.slice(0, wordsMax)}`;
    if (text.includes(drainingWords)) return failed(member, role, { how: "aborted" }, why);
    if (status !== 500) return failed(member, role, { how: "unavailable" }, why);
    return failed(member, role, { how: "failed", alive: await legs.isAlive(member) }, why);
  }

  async function broken(member: Member, role: Role, error: Error): Promise<FailedAttempt> {
    const how = howItFailed(error);
    const { message } = error;
    if (how === "refused") return failed(member, role, { how }, `cannot be reached: ${message}`);
    if (how === "late") return failed(member, role, { how }, `took too long: ${message}`);
    const leg = { how, alive: await legs.isAlive(member) };
    return failed(member, role, leg, `broke the connection: ${message}`);
  }

  return { answeredError, broken };
}
