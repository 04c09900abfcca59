import type { Member } from "../domain/observed.ts";
import { createAsk } from "./ask.ts";
import { decodeBody, kvTransferParamsOf, prefillBody } from "./body.ts";
import type { RelayHandOver } from "./body.ts";
import { valueOf } from "./edit.ts";
import { scanObject } from "./json.ts";
import type { Legs } from "./legs.ts";
import type { Pool } from "./membership.ts";
import type { ProxyMetrics } from "./metrics.ts";
import { failed } from "./outcome.ts";
import type { FailedAttempt, OpenStream, Task, WholeAnswer } from "./outcome.ts";
import type { Pair } from "./pair.ts";

interface AttemptSetup {
  readonly pool: Pool;
  readonly legs: Legs;
  readonly metrics: ProxyMetrics;
  readonly handOver: RelayHandOver;
}

type Outcome = WholeAnswer | OpenStream | FailedAttempt;

/** One try on one pair: prefill leg, then decode leg with the KV parameters of just that prefill. */
export function createAttempts({ pool, legs, metrics, handOver }: AttemptSetup) {
  const ask = createAsk(legs);

  /** Both members count as busy from the start: the prefill until the decode has its KV, the decode to the end. */
  return async function attempt(task: Task, { prefill, decode }: Pair): Promise<Outcome> {
    const leavePrefill = prefill ? pool.enter(prefill.name) : () => undefined;
    const leaveDecode = pool.enter(decode.name);
    let outcome: Outcome | undefined;
    try {
      const first = prefill ? await runPrefill(task, prefill) : { kvTransferParams: undefined };
      outcome =
        "kvTransferParams" in first ? await runDecode(task, decode, first.kvTransferParams) : first;
    } finally {
      leavePrefill();
      if (outcome?.kind !== "stream") leaveDecode();
    }
    return outcome.kind === "stream" ? { ...outcome, leave: leaveDecode } : outcome;
  };

  async function runPrefill(
    task: Task,
    member: Member,
  ): Promise<Outcome | { readonly kvTransferParams: Buffer | undefined }> {
    const done = metrics.leg("prefill");
    const body = prefillBody(task.body, handOver);
    const timeoutMs = legs.limits.prefillTimeoutMs;
    const outcome = await ask(task, { member, role: "prefill", body, timeoutMs });
    done();
    if (outcome.kind !== "answer" || outcome.status !== 200) return outcome;
    const answer = scanObject(outcome.bytes);
    if (!answer)
      return failed(member, "prefill", { how: "unavailable" }, "answered something else than JSON");
    // A store needs none, and what its engines answer all the same is not for the other side.
    if (handOver === "store") return { kvTransferParams: undefined };
    const kvTransferParams = kvTransferParamsOf(answer);
    if (!kvTransferParams) metrics.alone("no_kv");
    return { kvTransferParams };
  }

  async function runDecode(task: Task, member: Member, kv: Buffer | undefined): Promise<Outcome> {
    const done = metrics.leg("decode");
    const { firstEventTimeoutMs, wholeAnswerTimeoutMs } = legs.limits;
    const timeoutMs =
      valueOf(task.body, "stream") === true ? firstEventTimeoutMs : wholeAnswerTimeoutMs;
    const body = decodeBody(task.body, kv);
    const outcome = await ask(task, { member, role: "decode", body, timeoutMs });
    done();
    return outcome;
  }
}
