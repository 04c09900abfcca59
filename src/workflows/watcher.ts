import { CancellationScope, isCancellation, patched } from "@temporalio/workflow";
import type { Turn, WatchInput } from "../activities/turn.ts";
import { toFailure } from "./failure.ts";
import { watch } from "./perform.ts";
import { note } from "./state.ts";
import type { JobState } from "./state.ts";

interface Watch {
  readonly digest: string;
  /** Seconds, to which it renews. */
  readonly leaseS: number;
  readonly scope: CancellationScope;
}

/** What a plan was made of, and the targets that this leaves out. */
type Look = Pick<Turn, "digest" | "busy">;

/** At most one `watchJob` at a time; it ends when the job looks different from `digest`. */
export function createWatcher(state: JobState) {
  let current: Watch | undefined;
  let done = Promise.resolve();

  /**
   * A watch for how the job looked earlier makes way. It would not notice a change back to that: a proxy that came up and
   * died while a retry was waiting, for example. Nor does one stay that renews leases to what an earlier config says.
   */
  function start({ digest, busy }: Look): void {
    const { leaseS } = state.spec;
    if (current?.digest === digest) {
      if (current.leaseS === leaseS || !patched("watch-newest-lease")) return;
    } else if (current && !patched("watch-newest")) return;
    current?.scope.cancel();
    const mine = { digest, leaseS, scope: new CancellationScope({ cancellable: true }) };
    current = mine;
    done = run(mine, { spec: state.spec, digest, ...(busy ? { busy } : {}) });
  }

  async function run(mine: Watch, input: WatchInput): Promise<void> {
    try {
      await mine.scope.run(() => watch.watchJob(input));
    } catch (error) {
      if (!isCancellation(error))
        note(state, `watchJob failed: ${toFailure(error).message}`, Date.now());
    } finally {
      if (current === mine) {
        current = undefined;
        state.dirty = true;
      }
    }
  }

  async function stop(): Promise<void> {
    current?.scope.cancel();
    current = undefined;
    await done;
  }

  return { start, stop };
}
