import type { Schedule } from "../schedule.ts";
import type { Code } from "./breakable.ts";

/** Something done wrong on purpose. */
export interface Bug {
  readonly name: string;
  /** The oracle that is there for it. */
  readonly caughtBy: string;
  readonly bug: (real: Code) => Partial<Code>;
  /** A story that it needs; by default any random one. */
  readonly schedule?: (seed: number) => Schedule;
}
