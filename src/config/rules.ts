import type { Problem } from "./problem.ts";
import type { Reading } from "./reading.ts";
import * as children from "./rules/children.ts";
import * as connector from "./rules/connector.ts";
import * as envs from "./rules/envs.ts";
import * as files from "./rules/files.ts";
import * as fit from "./rules/fit.ts";
import * as flags from "./rules/flags.ts";
import * as handOver from "./rules/hand-over.ts";
import { leaseOutlastsStops } from "./rules/lease.ts";
import * as membership from "./rules/membership.ts";
import { enginePlaceholdersAreKnown, namedPortsAreFew } from "./rules/placeholders.ts";
import * as numbers from "./rules/numbers.ts";
import * as proxyPlaceholders from "./rules/proxy-placeholders.ts";
import * as resources from "./rules/resources.ts";
import * as scheduler from "./rules/scheduler.ts";
import * as sideChannel from "./rules/side-channel.ts";
import { versionHasTheConnector } from "./rules/version.ts";

type Rule = (reading: Reading) => readonly Problem[];

/** What the schema cannot say of one key alone. Each rule judges what is sound and keeps quiet about the rest. */
const rules: readonly Rule[] = [
  resources.gpusAreWholeWorkers,
  resources.replicasFitTheJob,
  resources.cpuEnginesReserveCpus,
  resources.ranksHaveGpus,
  resources.sizesAreCounts,
  leaseOutlastsStops,
  connector.modelsAreGiven,
  connector.kvConfigsAreReadable,
  connector.connectorsAreKnown,
  connector.rolesShareTheConnector,
  connector.kvRolesFit,
  connector.engineIdsAreFresh,
  children.childrenAreConfigs,
  children.childrenMeetEachOther,
  children.childrenHavePortsOfTheirOwn,
  fit.rolesFitEachOther,
  fit.connectorsHaveTheirSettings,
  fit.connectorsHaveTheirVariables,
  sideChannel.sideChannelsAreReachable,
  sideChannel.sideChannelsAreApart,
  handOver.kvIsHandedOver,
  handOver.proxyServesTheConnector,
  handOver.decodeComputesPrompts,
  versionHasTheConnector,
  flags.paramsAreFlags,
  flags.extraParamsAreArguments,
  flags.booleansAreWritten,
  enginePlaceholdersAreKnown,
  namedPortsAreFew,
  numbers.numbersAreExact,
  envs.variablesHaveNames,
  envs.referencesAreComplete,
  envs.secretsAreReferences,
  files.filesHoldNoReferences,
  files.renderedFilesHoldNoReferences,
  membership.membershipFitsTheProxy,
  membership.membershipIsDescribed,
  membership.requestsAreComplete,
  membership.requestPlaceholdersAreKnown,
  membership.fileIsKnownToTheProxy,
  scheduler.commandsAreCommands,
  proxyPlaceholders.commandPlaceholdersAreKnown,
  proxyPlaceholders.filePlaceholdersAreKnown,
  scheduler.proxyIsToldItsPort,
  scheduler.builtinProxyIsMeant,
  scheduler.memoryHoldsABody,
];

export const checkRules = (reading: Reading): readonly Problem[] =>
  rules.flatMap((rule) => rule(reading));
