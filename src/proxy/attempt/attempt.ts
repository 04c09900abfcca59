import type { Member } from "../../domain/observed.ts";
import type { Visit } from "../members/accounts.ts";
import { createAsk } from "./ask.ts";
import { decodeBody, kvTransferParamsOf, prefillBody } from "../bytes/body.ts";
import type { RelayHandOver } from "../bytes/body.ts";
import { valueOf } from "../bytes/edit.ts";
import { scanObject } from "../bytes/json.ts";
import type { Legs } from "./legs.ts";
import type { Estimate } from "../selection/load.ts";
import type { Pool } from "../members/membership.ts";
import type { ProxyMetrics } from "../metrics.ts";
import { failed } from "./outcome.ts";
import type { FailedAttempt, OpenStream, Task, WholeAnswer } from "./outcome.ts";
import type { Pair } from "../selection/pair.ts";

interface AttemptSetup {
  readonly pool: Pool;
  readonly legs: Legs;
  readonly metrics: ProxyMetrics;
  readonly handOver: RelayHandOver;
}

/** A member and its visit by one request. */
interface Stop {
  readonly member: Member;
  readonly visit: Visit;
}

type Outcome = WholeAnswer | OpenStream | FailedAttempt;

/** One try on one pair: prefill leg, then decode leg with the KV parameters of just that prefill. */
export function createAttempts({ pool, legs, metrics, handOver }: AttemptSetup) {
  const ask = createAsk(legs, metrics);

  /** Both members count as busy from the start: the prefill until the decode has its KV, the decode to the end. */
  return async function attempt(
    task: Task,
    { prefill, decode }: Pair,
    tokens: Estimate,
  ): Promise<Outcome> {
    const first = prefill && {
      member: prefill,
      visit: pool.enter(prefill.name, { ...tokens, answer: 0 }),
    };
    const second = { member: decode, visit: pool.enter(decode.name, tokens) };
    let outcome: Outcome | undefined;
    try {
      const kept = first ? await runPrefill(task, first) : { kvTransferParams: undefined };
      outcome =
        "kvTransferParams" in kept ? await runDecode(task, second, kept.kvTransferParams) : kept;
    } finally {
      first?.visit.leave();
      if (outcome?.kind !== "stream") second.visit.leave();
    }
    return outcome.kind === "stream" ? { ...outcome, leave: second.visit.leave } : outcome;
  };

  async function runPrefill(
    task: Task,
    { member, visit }: Stop,
  ): Promise<Outcome | { readonly kvTransferParams: Buffer | undefined }> {
    const done = metrics.leg("prefill");
    const body = prefillBody(task.body, handOver);
    const timeoutMs = legs.limits.prefillTimeoutMs;
    visit.asked();
    const outcome = await ask(task, { member, role: "prefill", visit, body, timeoutMs });
    if (outcome.kind === "failed") visit.gaveUp();
    else visit.came();
    done();
    if (outcome.kind !== "answer" || outcome.status !== 200) return outcome;
    const answer = scanObject(outcome.bytes);
    if (!answer)
      return failed(member, "prefill", { how: "unavailable" }, "answered something else than JSON");
    // A store needs none, and what its engines answer all the same is not for the other side.
    if (handOver === "store") return { kvTransferParams: undefined };
    const kvTransferParams = kvTransferParamsOf(answer);
    if (!kvTransferParams) {
      metrics.alone("no_kv");
      metrics.silent("no_kv");
    }
    return { kvTransferParams };
  }

  async function runDecode(
    task: Task,
    { member, visit }: Stop,
    kv: Buffer | undefined,
  ): Promise<Outcome> {
    const done = metrics.leg("decode");
    const { firstEventTimeoutMs, wholeAnswerTimeoutMs } = legs.limits;
    const isStream = valueOf(task.body, "stream") === true;
    const timeoutMs = isStream ? firstEventTimeoutMs : wholeAnswerTimeoutMs;
    const body = decodeBody(task.body, kv);
    // A whole answer sends nothing for minutes by its nature, which says nothing of its engine.
    if (isStream) visit.asked();
    const outcome = await ask(task, { member, role: "decode", visit, body, timeoutMs });
    done();
    return outcome;
  }
}
