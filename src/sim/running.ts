import type { ServerResponse } from "node:http";
import { generate } from "./generate.ts";
import type { Generation, Piece } from "./generate.ts";
import type { Metrics } from "./metrics.ts";
import type { EngineOptions } from "./options.ts";
import { createStopwatch } from "./stopwatch.ts";

/**
 * draining: what runs goes on, new work is turned away · aborting: what runs ends with `abort` · dead: with an error ·
 * silent: where it is, and its clients hear nothing any more. vLLM that gets SIGTERM is one of the last three, by a race
 * between its engine core's last words and the core's end.
 */
export type Phase = "serving" | "draining" | "aborting" | "dead" | "silent";

export interface RunningSetup {
  readonly options: EngineOptions;
  readonly metrics: Metrics;
  readonly tokenMs: number;
  readonly phase: () => Phase;
  /** Resolves once the engine core does its work. */
  readonly awake: () => Promise<void>;
}

interface Run {
  readonly request: Generation;
  /** For each prompt, the one whose KV the engine has. */
  readonly heardAs: readonly string[];
  readonly response: ServerResponse;
}

/** Runs every choice of a request side by side. `gone`: nobody is ever to hear of it again. */
export function createRunning({ options, metrics, tokenMs, phase, awake }: RunningSetup) {
  const start = ({ request: { prompts, choices, stop }, heardAs }: Run) =>
    prompts.flatMap(({ maxTokens }, at) =>
      Array.from({ length: choices }, () =>
        generate({ model: options.model, heardAs: heardAs[at] ?? "", maxTokens, stop }, tokenMs),
      ),
    );

  return async function run(
    one: Run,
    emit: (index: number, piece: Piece) => void,
  ): Promise<"done" | "dead" | "gone"> {
    const watch = createStopwatch(one.request, metrics);
    const open = new Map(start(one).entries());
    while (open.size > 0) {
      const pieces = await Promise.all(
        [...open].map(async ([index, tokens]) => ({ index, next: await tokens.next() })),
      );
      await awake();
      if (one.response.destroyed || phase() === "silent") return "gone";
      if (phase() === "dead") return "dead";
      if (phase() === "aborting") {
        for (const index of open.keys())
          emit(index, { token: "", finish: "abort", stopReason: null });
        return "done";
      }
      watch.step(pieces.length);
      for (const { index, next } of pieces) {
        if (next.done === true) continue;
        emit(index, next.value);
        if (next.value.finish === null) continue;
        metrics.counters[next.value.finish] += 1;
        open.delete(index);
      }
    }
    watch.end();
    return "done";
  };
}
