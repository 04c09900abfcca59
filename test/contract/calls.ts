import { request } from "undici";
import type { Dispatcher } from "undici";
import type { Reachable } from "./bed.ts";

export type Json = Readonly<Record<string, unknown>>;

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  json<T = Json>(): T;
}

/** One request; `undefined` for no body, a text as it is, everything else as JSON. */
export async function call(
  { url }: Reachable,
  method: Dispatcher.HttpMethod,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const answer = await request(url + path, {
    method,
    headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    body: body === undefined || typeof body === "string" ? (body ?? null) : JSON.stringify(body),
  });
  const text = await answer.body.text();
  return {
    status: answer.statusCode,
    headers: answer.headers,
    text,
    json: <T>() => JSON.parse(text) as T,
  };
}

export const complete = (engine: Reachable, body: Json): Promise<Answer> =>
  call(engine, "POST", "/v1/completions", { model: "tiny", temperature: 0, ...body });

export const chat = (engine: Reachable, body: Json): Promise<Answer> =>
  call(engine, "POST", "/v1/chat/completions", {
    model: "tiny",
    temperature: 0,
    messages: [{ role: "user", content: "hello there" }],
    ...body,
  });

/** A prompt of exactly `count` tokens, for any tokenizer; different for each `salt`. */
export const ids = (count: number, salt = 0): readonly number[] =>
  Array.from({ length: count }, (_, index) => 2 + ((index * 7 + salt * 31) % 400));

export interface Completion {
  readonly id: string;
  readonly choices: readonly {
    readonly text: string;
    readonly finish_reason: string | null;
    readonly stop_reason: string | null;
  }[];
  readonly usage: Json;
  readonly kv_transfer_params: Json | null;
}

/** The text of a completion's only choice. */
export async function textOf(engine: Reachable, body: Json): Promise<string> {
  const answer = await complete(engine, body);
  return answer.json<Completion>().choices[0]?.text ?? `${answer.status} ${answer.text}`;
}

/** The `kv_transfer_params` of a prefill leg, as a proxy asks for them. */
export async function prefill(engine: Reachable, prompt: unknown, extra: Json = {}): Promise<Json> {
  const asked = { do_remote_decode: true, do_remote_prefill: false };
  const answer = await complete(engine, {
    prompt,
    max_tokens: 1,
    kv_transfer_params: asked,
    ...extra,
  });
  return answer.json<Completion>().kv_transfer_params ?? {};
}

/** What follows `data: ` in each event of a stream. */
export const eventsOf = (text: string): readonly string[] =>
  text
    .split("\n\n")
    .filter((event) => event !== "")
    .map((event) => event.replace(/^data: /, ""));
