import { unknowable } from "../given.ts";
import { roles } from "../role.ts";
import type { Role } from "../role.ts";
import type { KvTransferConfig, ParamValue } from "../spec.ts";
import { configuredConnectors } from "./children.ts";
import type { Connector, Trait } from "./connector.ts";
import { nameIn, tensorParallelOf } from "./table.ts";
import { traitOf } from "./trait.ts";
import type { Version } from "./version.ts";

/** What the engines of a role are, as far as it decides whether the other role can use their KV. */
export interface Side {
  readonly config: KvTransferConfig;
  /** `model` among them. */
  readonly params: Readonly<Record<string, ParamValue>>;
  readonly extraArgs: readonly string[];
}

/** Why the engines of one role cannot use the KV of the other. */
export interface Misfit {
  readonly role: Role;
  readonly param: string;
  /** Goes on after the param's name. */
  readonly message: string;
  readonly severity: "error" | "warning";
}

/**
 * What the two roles' params have against each other, by what their connectors compare. Params that cannot be known
 * (with placeholders) are passed over: the engines will tell.
 */
export function misfits(
  sides: Readonly<Record<Role, Side>>,
  version: Version | undefined,
): readonly Misfit[] {
  const connectors = configuredConnectors(sides.decode.config).flatMap(({ known }) =>
    known ? [known] : [],
  );
  const found = connectors.flatMap((connector) => [
    ...connector.alike.flatMap((trait) => unlike(sides, trait, nameIn(connector, version))),
    ...unevenBlocks(sides, connector),
    ...unevenTensors(sides, connector, version),
  ]);
  // Children of MultiConnector may all mind the same thing.
  return found.filter(
    (one, at) =>
      found.findIndex(({ role, param }) => role === one.role && param === one.param) === at,
  );
}

function unlike(
  { prefill, decode }: Readonly<Record<Role, Side>>,
  trait: Trait,
  connector: string,
): readonly Misfit[] {
  const theirs = traitOf(prefill, trait);
  const ours = traitOf(decode, trait);
  if (theirs === unknowable || ours === unknowable || theirs.same === ours.same) return [];
  if (theirs.same !== undefined && ours.same !== undefined) {
    const message = `is ${JSON.stringify(ours.shown)}, but prefill has ${JSON.stringify(theirs.shown)}: ${connector} hands KV over between engines that are alike in it. Write the same in both roles, best in general.params.`;
    return [{ role: "decode", param: trait, message, severity: "error" }];
  }
  const role = theirs.same === undefined ? "decode" : "prefill";
  const other = theirs.same === undefined ? "prefill" : "decode";
  const message = `is given for ${role} alone, and ${connector} hands KV over between engines that are alike in it: is it what vLLM chooses for ${other}? Best write it in general.params.`;
  // Without a model there is no engine, of which another rule tells.
  return trait === "model" ? [] : [{ role, param: trait, message, severity: "warning" }];
}

function unevenBlocks(
  sides: Readonly<Record<Role, Side>>,
  { name, blocksMayBeLarger }: Connector,
): readonly Misfit[] {
  if (!blocksMayBeLarger) return [];
  const [theirs, ours] = roles.map((role) => sizeOf(sides[role], "block_size"));
  if (theirs === undefined || ours === undefined || ours % theirs === 0) return [];
  const message = `is ${ours}, but prefill has ${theirs}: with ${name} decode's blocks hold a whole number of prefill's. Write the same in both roles, best in general.params.`;
  return [{ role: "decode", param: "block_size", message, severity: "error" }];
}

function unevenTensors(
  sides: Readonly<Record<Role, Side>>,
  connector: Connector,
  version: Version | undefined,
): readonly Misfit[] {
  const param = "tensor_parallel_size";
  const name = nameIn(connector, version);
  const [theirs, ours] = roles.map((role) => sizeOf(sides[role], param));
  if (theirs === undefined || ours === undefined) return [];
  const differ = (rest: string): readonly Misfit[] => [
    {
      role: "decode",
      param,
      message: `is ${ours}, but prefill has ${theirs}: ${rest}`,
      severity: "error",
    },
  ];
  switch (tensorParallelOf(connector, version)) {
    case "any":
      return [];
    case "equal":
      return ours === theirs ? [] : differ(`${name} needs the same in both roles.`);
    case "ratio":
      return ours % theirs === 0 || theirs % ours === 0
        ? []
        : differ(`with ${name} one of them must divide the other.`);
    case "one":
      return roles.flatMap((role) => {
        const size = role === "prefill" ? theirs : ours;
        const message = `is ${size}, but with ${name} an engine's ranks would write over each other's KV: write 1, or use NixlConnector.`;
        return size === 1 ? [] : [{ role, param, message, severity: "error" as const }];
      });
  }
}

function sizeOf(side: Side, param: "block_size" | "tensor_parallel_size"): number | undefined {
  const value = traitOf(side, param);
  const size = value === unknowable ? Number.NaN : Number(value.same);
  return Number.isInteger(size) && size > 0 ? size : undefined;
}
