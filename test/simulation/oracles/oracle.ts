import type { ClusterEvent } from "../cluster/cluster.ts";
import type { Job } from "../job.ts";
import type { Task } from "../temporal/activities.ts";
import type { Observed } from "../../../src/domain/observed.ts";
import type { Turn, TurnInput } from "../../../src/activities/turn.ts";

/** A plan as the workflow got it. */
export interface PlannedTurn {
  readonly job: Job;
  readonly input: TurnInput;
  readonly turn: Turn;
  /** What it is made of. */
  readonly observed: Observed;
  /** Nothing in the cluster changed while it was made. */
  readonly isUndisturbed: boolean;
}

/** Something that must always hold. Each check answers with what is wrong, or nothing. */
export interface Oracle {
  readonly name: string;
  /** A job begins, maybe once more. What of its earlier life is completely gone may begin anew. */
  onStart?(job: string, isGone: (name: string) => boolean): void;
  onEvent?(event: ClusterEvent): string | undefined;
  onTask?(task: Task, change: "opened" | "closed"): string | undefined;
  onTurn?(planned: PlannedTurn): string | undefined;
}

export interface Violation {
  readonly oracle: string;
  readonly message: string;
  readonly atMs: number;
}
