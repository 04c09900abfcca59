import type { Task, WholeAnswer } from "./outcome.ts";
import { parseBody } from "../bytes/body.ts";
import type { Body } from "../bytes/body.ts";
import { Gone } from "../answer/gone.ts";
import { jsonOf } from "../bytes/edit.ts";
import type { BodyShare } from "../admission/memory.ts";
import type { createObtain, Refusal, Result } from "./obtain.ts";
import { mergeAnswers } from "../bytes/prompts.ts";
import type { Piece, Way } from "../bytes/prompts.ts";

/** Pieces of one request that run side by side; the rest wait their turn. */
const atOnceMax = 8;

const anotherFailed = new Error("another piece of the request failed");

type Split = Extract<Way, { readonly kind: "split" }>;
type Part = WholeAnswer & { readonly answer: Body; readonly degraded?: true };

/** Each prompt of a request on its own way, and one answer from all. The first piece that fails ends the others. */
export const createSplit =
  (obtain: ReturnType<typeof createObtain>) =>
  async (task: Task, { pieces, why }: Split, share: BodyShare): Promise<Result> => {
    const atOnce = reserveFor(pieces, share);
    if (atOnce === 0) return refusalOf(share);
    const group = new Gone();
    const leave = () => group.end(task.gone.reason ?? anotherFailed);
    task.gone.onEnd(leave);
    const parts = new Map<number, Part>();
    const waiting = pieces.entries();
    let failure: Result | undefined;

    async function work(): Promise<void> {
      for (const [index, piece] of waiting) {
        const requestId = `${task.requestId}-p${index}`;
        const one = { ...task, body: piece.body(), requestId, gone: group };
        const result = await obtain(one, why === undefined);
        const part = partOf(result);
        if (part) parts.set(index, part);
        else failure ??= result;
        if (failure) return leave();
      }
    }

    await Promise.all(Array.from({ length: atOnce }, work));
    task.gone.off(leave);
    const first = parts.get(0);
    if (failure || !first) return failure ?? { kind: "gone" };
    const inOrder = [...parts].toSorted(([a], [b]) => a - b).map(([, { answer }]) => answer);
    const isDegraded = [...parts.values()].some(({ degraded }) => degraded);
    const whole = { ...first, bytes: jsonOf(mergeAnswers(inOrder)) };
    return isDegraded ? { ...whole, degraded: true } : whole;
  };

/** How many pieces may run side by side, by the room for their bodies: however they meet, the largest are what they take at most. */
function reserveFor(pieces: readonly Piece[], { reserve }: BodyShare): number {
  const sizes = pieces.map(({ bytes }) => bytes).toSorted((a, b) => b - a);
  const largest = sizes.slice(0, atOnceMax);
  const first = largest.findIndex((bytes) => !reserve(bytes));
  return first < 0 ? largest.length : first;
}

const refusalOf = ({ noRoom }: BodyShare): Refusal => ({
  kind: "refused",
  outcome: "rejected",
  status: 503,
  type: "ServiceUnavailableError",
  message: noRoom,
});

function partOf(result: Result): Part | undefined {
  if (result.kind === "stream") result.leave();
  if (result.kind !== "answer" || result.status !== 200) return undefined;
  const answer = parseBody(result.bytes.toString("utf8"));
  return answer && { ...result, answer };
}
