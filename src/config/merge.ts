import { paramOf } from "../domain/engine-flags.ts";
import { roles } from "../domain/role.ts";
import type { Role } from "../domain/role.ts";
import type { ParamValue } from "../domain/spec.ts";
import { nodeAt } from "./node.ts";
import type { Path } from "./problem.ts";
import type { Reading } from "./reading.ts";
import { splitCommand } from "./shell.ts";

/** Parts of the file that hold `params` and `envs`, in the order in which they are merged. */
export const sections = ["general", ...roles] as const;
export type Section = (typeof sections)[number];

export const paramsOf = (reading: Reading, section: Section): Readonly<Record<string, unknown>> =>
  reading.draft[section]?.params ?? {};

/** general under role: general's order is kept, and a role's value takes the place of general's. */
export function mergedParams(reading: Reading, role: Role): Readonly<Record<string, ParamValue>> {
  // The tree holds nothing but what JSON can hold.
  return { ...paramsOf(reading, "general"), ...paramsOf(reading, role) } as Readonly<
    Record<string, ParamValue>
  >;
}

/** Where the value of a flag that counts for a role was written: in the role, else in general. */
export function paramPath(reading: Reading, role: Role, key: string): Path | undefined {
  return [role, "general"]
    .map((section) => [section, "params", key])
    .find((path) => nodeAt(reading.root, path) !== undefined);
}

/** `_extra_params`, general's and then the role's; none of a text that is no command line, of which another rule tells. */
export const extraArgsOf = (reading: Reading, role: Role): readonly string[] =>
  (["general", role] as const).flatMap((section) => wordsOf(reading, section));

/** The section whose `_extra_params` has the say on a flag that counts for a role, and the flag as it is written there. */
export function extraFlag(
  reading: Reading,
  role: Role,
  param: string,
): { readonly path: Path; readonly flag: string } | undefined {
  for (const section of [role, "general"] as const) {
    const word = wordsOf(reading, section).findLast((one) => isOf(paramOf(one), param));
    if (word !== undefined)
      return { path: [section, "params", "_extra_params"], flag: word.split("=", 1)[0] ?? "" };
  }
  return undefined;
}

/** The flag itself, or one for a key of its mapping. */
const isOf = (name: string | undefined, param: string): boolean =>
  name === param || name?.startsWith(`${param}.`) === true;

function wordsOf(reading: Reading, section: Section): readonly string[] {
  const extra = paramsOf(reading, section)["_extra_params"];
  const split = splitCommand(typeof extra === "string" ? extra : "");
  return split.ok ? split.words : [];
}
