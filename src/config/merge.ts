import { roles } from "../domain/role.ts";
import type { Role } from "../domain/role.ts";
import type { ParamValue } from "../domain/spec.ts";
import { nodeAt } from "./node.ts";
import type { Path } from "./problem.ts";
import type { Reading } from "./reading.ts";

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
