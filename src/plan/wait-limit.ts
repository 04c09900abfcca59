import { roles } from "../domain/role.ts";
import type { JobSpec } from "../domain/spec.ts";

/** Beyond what the config allows each step: planning, reserving, a canary, the proxy's new members. */
const slackS = 60;

type Budgets = Pick<JobSpec, "timeoutS" | "drainS" | "stopGraceS">;

/** Seconds after which replicas that make way have drained and ended, and others serve in their place. */
export const changeLimitS = (spec: Budgets): number =>
  longestDrainS(spec) + spec.stopGraceS + spec.timeoutS + slackS;

/** The same of a restart: another may come beside it first, and go afterwards. */
export const restartLimitS = (spec: Budgets): number => 2 * changeLimitS(spec);

/** Seconds after which a job that was told to stop has drained and ended its proxy, and then its engines. */
export const stopLimitS = (spec: Budgets): number =>
  longestDrainS(spec) + 2 * spec.stopGraceS + slackS;

const longestDrainS = ({ drainS }: Budgets): number =>
  Math.max(...roles.map((role) => drainS[role]));
