import type { World } from "../world.ts";
import {
  freshGenerations,
  freshPorts,
  leaseOnlyOrphans,
  oneEngine,
  onlyUnwanted,
} from "./engines.ts";
import { noticesDeaths } from "./notice.ts";
import type { Oracle } from "./oracle.ts";
import {
  drainedFirst,
  membersProven,
  membersReady,
  noStrangers,
  membershipForward,
  nothingToStopped,
  oneProxy,
  portIsKept,
} from "./proxy.ts";
import {
  noSpinning,
  oneActionPerTarget,
  oneWatch,
  readyIsTrue,
  servesOn,
  withinBudget,
} from "./workflow.ts";

/** Everything that must hold at every moment of every run. */
export const allOracles: readonly ((world: World) => Oracle)[] = [
  oneEngine,
  freshGenerations,
  freshPorts,
  onlyUnwanted,
  leaseOnlyOrphans,
  oneProxy,
  portIsKept,
  membershipForward,
  membersReady,
  membersProven,
  noStrangers,
  nothingToStopped,
  drainedFirst,
  oneActionPerTarget,
  oneWatch,
  withinBudget,
  noSpinning,
  readyIsTrue,
  servesOn,
  noticesDeaths,
];
