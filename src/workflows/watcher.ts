import { CancellationScope, isCancellation } from "@temporalio/workflow";
import { toFailure } from "./failure.ts";
import { watch } from "./perform.ts";
import { note } from "./state.ts";
import type { JobState } from "./state.ts";

/** At most one `watchJob` at a time; it ends when the job looks different from `digest`. */
export function createWatcher(state: JobState) {
  let current: { readonly scope: CancellationScope; readonly done: Promise<void> } | undefined;

  function start(digest: string): void {
    if (current) return;
    const scope = new CancellationScope({ cancellable: true });
    const run = async (): Promise<void> => {
      try {
        await scope.run(() => watch.watchJob({ spec: state.spec, digest }));
      } catch (error) {
        if (!isCancellation(error))
          note(state, `watchJob failed: ${toFailure(error).message}`, Date.now());
      } finally {
        current = undefined;
        state.dirty = true;
      }
    };
    current = { scope, done: run() };
  }

  async function stop(): Promise<void> {
    const wasDirty = state.dirty;
    current?.scope.cancel();
    await current?.done;
    state.dirty = wasDirty;
  }

  return { start, stop };
}
