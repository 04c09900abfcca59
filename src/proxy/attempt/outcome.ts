import type { IncomingHttpHeaders } from "node:http";
import type { Member } from "../../domain/observed.ts";
import type { Role } from "../../domain/role.ts";
import type { Visit } from "../members/accounts.ts";
import type { AnswerBody } from "../answer/answer.ts";
import type { Gone } from "../answer/gone.ts";
import type { JsonObject } from "../bytes/json.ts";
import type { FailedLeg } from "./retry.ts";

/** One request for one prompt, as it goes to engines. */
export interface Task {
  readonly path: string;
  /** The client's headers that go to engines, one a line. */
  readonly lines: string;
  readonly body: JsonObject;
  readonly requestId: string;
  readonly gone: Gone;
}

export interface WholeAnswer {
  readonly kind: "answer";
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
}

/** A stream whose first events are good. Whoever takes it calls `leave` when it is over. */
export interface OpenStream {
  readonly kind: "stream";
  readonly member: Member;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** What has come so far; the rest is still in `body`. */
  readonly opening: Buffer;
  readonly body: AnswerBody;
  readonly visit: Visit;
  leave(): void;
}

export interface FailedAttempt {
  readonly kind: "failed";
  readonly member: Member;
  readonly role: Role;
  readonly leg: FailedLeg;
  readonly why: string;
}

export const failed = (member: Member, role: Role, leg: FailedLeg, why: string): FailedAttempt => ({
  kind: "failed",
  member,
  role,
  leg,
  why: `${member.name} ${why}`,
});
