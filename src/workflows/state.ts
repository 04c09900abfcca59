import type { Role } from "../domain/role.ts";

/** PLACEHOLDER replaced in the workflow slice: plain JSON carried over continue-as-new. */
export interface CarriedState {
  readonly schemaVersion: 1;
  readonly desired: Readonly<Record<Role, number>>;
}
