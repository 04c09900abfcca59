import type { Member } from "../../domain/observed.ts";
import type { Role } from "../../domain/role.ts";
import { isAborted } from "../bytes/body.ts";
import { createFailures } from "./failures.ts";
import { silence } from "../engines/failure.ts";
import type { Leg, Legs } from "./legs.ts";
import type { Visit } from "../members/accounts.ts";
import type { AnswerBody, Arrival } from "../answer/answer.ts";
import type { ProxyMetrics } from "../metrics.ts";
import { readOpening } from "../answer/opening.ts";
import { failed } from "./outcome.ts";
import type { FailedAttempt, OpenStream, Task, WholeAnswer } from "./outcome.ts";

/** Bytes of an opening that is held back; a longer one is passed on as it is. */
const openingMax = 64 * 1024;
const shuttingDown = "aborted the request (it is shutting down)";

export interface Question {
  readonly member: Member;
  readonly role: Role;
  readonly visit: Visit;
  /** JSON, in parts. */
  readonly body: readonly Buffer[];
  /** Until the headers. */
  readonly timeoutMs: number;
}

/** Asks one engine. Whatever does not serve the client is a failure, told with how the engine is afterwards. */
export function createAsk(legs: Legs, metrics: Pick<ProxyMetrics, "silent">) {
  const { answeredError, broken } = createFailures(legs);

  return async function ask(
    { path, lines, requestId, gone }: Task,
    question: Question,
  ): Promise<WholeAnswer | OpenStream | FailedAttempt> {
    const { member, role, body, timeoutMs } = question;
    const request = { member, path, lines, requestId, body, gone, headersTimeoutMs: timeoutMs };
    const leg = await legs.send(request);
    if (leg instanceof Error) return broken(member, role, leg);
    const isStream = String(leg.headers["content-type"]).startsWith("text/event-stream");
    return isStream && leg.status < 500 ? openStream(question, leg) : readWhole(member, role, leg);
  };

  function aborted(member: Member, role: Role): FailedAttempt {
    metrics.silent("abort");
    return failed(member, role, { how: "aborted" }, shuttingDown);
  }

  async function readWhole(
    member: Member,
    role: Role,
    { status, headers, body }: Leg,
  ): Promise<WholeAnswer | FailedAttempt> {
    const bytes = await body.whole();
    if (bytes instanceof Error) return broken(member, role, bytes);
    if (status >= 500) return answeredError(member, role, { status, text: bytes.toString("utf8") });
    if (status === 200 && isAborted(bytes)) return aborted(member, role);
    return { kind: "answer", status, headers, bytes };
  }

  /** Holds a stream back until its answer has begun: up to then it can be tried elsewhere. */
  async function openStream(
    { member, role, visit }: Question,
    { status, headers, body }: Leg,
  ): Promise<OpenStream | FailedAttempt> {
    const untilMs = performance.now() + legs.limits.firstEventTimeoutMs;
    let opening: Buffer = Buffer.alloc(0);
    for (;;) {
      const piece = await nextWithin(Math.max(0, untilMs - performance.now()), body, visit);
      if (piece instanceof Error) return broken(member, role, piece);
      if (piece === undefined && opening.length === 0)
        return broken(member, role, new Error("it ended the stream before its first byte"));
      opening = piece ? Buffer.concat([opening, piece]) : opening;
      const says = readOpening(opening.toString("utf8"));
      if (says.kind === "begun" || piece === undefined || opening.length > openingMax) {
        const leave = () => undefined;
        return { kind: "stream", member, visit, status, headers, opening, body, leave };
      }
      if (says.kind === "undecided") continue;
      body.destroy(new Error(says.kind));
      return says.kind === "aborted"
        ? aborted(member, role)
        : answeredError(member, role, { status: says.status, text: says.message });
    }
  }
}

async function nextWithin(timeoutMs: number, body: AnswerBody, visit: Visit): Promise<Arrival> {
  visit.asked();
  const timer = setTimeout(() => body.destroy(silence(timeoutMs)), timeoutMs);
  const arrival = await body.next();
  clearTimeout(timer);
  if (arrival instanceof Error) visit.gaveUp();
  else visit.came();
  return arrival;
}
