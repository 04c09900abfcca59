import type { Task, WholeAnswer } from "./outcome.ts";
import { parseBody } from "../bytes/body.ts";
import type { Body } from "../bytes/body.ts";
import { Gone } from "../answer/gone.ts";
import { jsonOf } from "../bytes/edit.ts";
import type { JsonObject } from "../bytes/json.ts";
import type { createObtain, Result } from "./obtain.ts";
import { mergeAnswers } from "../bytes/prompts.ts";

/** Pieces of one request that run side by side; the rest wait their turn. */
const atOnceMax = 8;

const anotherFailed = new Error("another piece of the request failed");

type Part = WholeAnswer & { readonly answer: Body; readonly degraded?: true };

/** Each prompt of a request on its own way, and one answer from all. The first piece that fails ends the others. */
export const createSplit =
  (obtain: ReturnType<typeof createObtain>) =>
  async (task: Task, bodies: readonly JsonObject[], withPrefill: boolean): Promise<Result> => {
    const group = new Gone();
    const leave = () => group.end(task.gone.reason ?? anotherFailed);
    task.gone.onEnd(leave);
    const parts = new Map<number, Part>();
    const waiting = bodies.entries();
    let failure: Result | undefined;

    async function work(): Promise<void> {
      for (const [index, body] of waiting) {
        const requestId = `${task.requestId}-p${index}`;
        const result = await obtain({ ...task, body, requestId, gone: group }, withPrefill);
        const part = partOf(result);
        if (part) parts.set(index, part);
        else failure ??= result;
        if (failure) return leave();
      }
    }

    await Promise.all(Array.from({ length: Math.min(atOnceMax, bodies.length) }, work));
    task.gone.off(leave);
    const first = parts.get(0);
    if (failure || !first) return failure ?? { kind: "gone" };
    const inOrder = [...parts].toSorted(([a], [b]) => a - b).map(([, { answer }]) => answer);
    const isDegraded = [...parts.values()].some(({ degraded }) => degraded);
    const whole = { ...first, bytes: jsonOf(mergeAnswers(inOrder)) };
    return isDegraded ? { ...whole, degraded: true } : whole;
  };

function partOf(result: Result): Part | undefined {
  if (result.kind === "stream") result.leave();
  if (result.kind !== "answer" || result.status !== 200) return undefined;
  const answer = parseBody(result.bytes.toString("utf8"));
  return answer && { ...result, answer };
}
