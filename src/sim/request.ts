import { randomBytes } from "node:crypto";
import type { Generation } from "./generate.ts";
import type { EngineOptions } from "./options.ts";
import { isProblem, refused, unreadable } from "./problem.ts";
import type { RequestProblem } from "./problem.ts";
import { readPrompts, tooLong } from "./prompts.ts";
import type { Prompt } from "./prompts.ts";

const completionTokensDefault = 16;

export interface IncomingCall {
  readonly kind: Generation["kind"];
  readonly contentType: string;
  readonly text: string;
  /** Of the header `x-request-id`: it becomes part of the answer's id. */
  readonly requestId?: string;
}

type Body = Readonly<Record<string, unknown>>;

/** Validates a completion or chat request in the order and the words of vLLM's frontend. */
export function readRequest(
  { kind, contentType, text, requestId }: IncomingCall,
  options: EngineOptions,
): Generation | RequestProblem {
  const body = readBody(contentType, text);
  if (isProblem(body)) return body;
  const maxTokens = maxTokensOf(kind, body);
  if (isProblem(maxTokens)) return maxTokens;
  const prompts = readPrompts(kind, body);
  if (isProblem(prompts)) return prompts;
  const problem =
    kvProblem(body) ??
    streamProblem(body) ??
    modelProblem(body, options) ??
    samplingProblem(body, maxTokens);
  if (problem) return problem;
  const bounded = bound(prompts, maxTokens, options);
  if (isProblem(bounded)) return bounded;
  const stop = body["stop"];
  const streamOptions = (body["stream_options"] ?? {}) as Record<string, unknown>;
  return {
    id: `${kind === "chat" ? "chatcmpl" : "cmpl"}-${requestId ?? randomBytes(8).toString("hex")}`,
    kind,
    // Whatever name the client used.
    model: options.servedModelNames[0] ?? options.model,
    prompts: bounded,
    choices: Number.isInteger(body["n"]) ? (body["n"] as number) : 1,
    stop: typeof stop === "string" ? [stop] : Array.isArray(stop) ? stop.map(String) : [],
    stream: body["stream"] === true,
    usageAtEnd: streamOptions["include_usage"] === true,
    usageAlways: streamOptions["continuous_usage_stats"] === true,
    kvParams: (body["kv_transfer_params"] ?? null) as Generation["kvParams"],
  };
}

function readBody(contentType: string, text: string): Body | RequestProblem {
  if (!/^application\/json\b/.test(contentType))
    return unreadable("Unsupported Media Type: Only 'application/json' is allowed");
  if (text === "") return unreadable({ type: "missing", at: "", why: "Field required" });
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    const at = /position (\d+)/.exec((error as Error).message)?.[1] ?? String(text.length);
    return unreadable({ type: "json_invalid", at: `.${at}`, why: "JSON decode error" });
  }
  if (typeof body === "object" && body !== null && !Array.isArray(body)) return body as Body;
  const why = "Input should be a valid dictionary or object to extract fields from";
  return unreadable({ type: "model_attributes_type", at: "", why });
}

/** Undefined = as many as there is room for: a chat without a limit. */
function maxTokensOf(
  kind: Generation["kind"],
  body: Body,
): { readonly asked: number | undefined } | RequestProblem {
  const names = kind === "chat" ? ["max_completion_tokens", "max_tokens"] : ["max_tokens"];
  const name = names.find((one) => (body[one] ?? null) !== null);
  if (name === undefined) return { asked: kind === "chat" ? undefined : completionTokensDefault };
  const value = body[name];
  if (typeof value === "number" && !Number.isInteger(value)) {
    const why = "Input should be a valid integer, got a number with a fractional part";
    return unreadable({ type: "int_from_float", at: `.${name}`, why });
  }
  if (typeof value !== "number" && !/^-?\d+$/.test(String(value))) {
    const why = "Input should be a valid integer, unable to parse string as an integer";
    return unreadable({ type: "int_parsing", at: `.${name}`, why });
  }
  return { asked: Number(value) };
}

function kvProblem({ kv_transfer_params: params = null }: Body): RequestProblem | undefined {
  if (params === null || (typeof params === "object" && !Array.isArray(params))) return undefined;
  const why = "Input should be a valid dictionary";
  return unreadable({ type: "dict_type", at: ".kv_transfer_params", why });
}

const streamProblem = (body: Body): RequestProblem | undefined =>
  (body["stream_options"] ?? null) !== null && body["stream"] !== true
    ? refused("Stream options can only be defined when `stream=True`.", "stream_options")
    : undefined;

function modelProblem({ model }: Body, options: EngineOptions): RequestProblem | undefined {
  const names = options.servedModelNames;
  if (typeof (model ?? undefined) !== "string" || names.includes(String(model))) return undefined;
  const message = `The model \`${String(model)}\` does not exist. Valid aliases: ${names.join(", ")}.`;
  return { status: 404, message, type: "NotFoundError", param: "model" };
}

function samplingProblem(
  { temperature, n, min_tokens: min }: Body,
  { asked }: { readonly asked: number | undefined },
): RequestProblem | undefined {
  if (asked !== undefined && asked < 1)
    return refused(`max_tokens must be at least 1, got ${asked}.`, "max_tokens", asked);
  if (typeof temperature === "number" && temperature < 0) {
    const value = temperature.toFixed(1);
    return refused(`temperature must be non-negative, got ${value}.`, "temperature", value);
  }
  if (asked !== undefined && typeof min === "number" && min > asked)
    return refused(`min_tokens must be less than or equal to max_tokens=${asked}, got ${min}.`);
  if (temperature === 0 && typeof n === "number" && n > 1)
    return refused(`n must be 1 when using greedy sampling, got ${n}.`);
  return undefined;
}

/** A limit beyond the context's end is cut to what fits, but one that could never fit is refused. */
function bound(
  prompts: readonly Prompt[],
  { asked }: { readonly asked: number | undefined },
  { maxModelLen }: EngineOptions,
): readonly (Prompt & { readonly maxTokens: number })[] | RequestProblem {
  if (asked !== undefined && asked > maxModelLen) {
    const what = `max_tokens=${asked} cannot be greater than max_model_len=${maxModelLen}.`;
    return refused(`${what} Please request fewer output tokens.`, "max_tokens", asked);
  }
  const problem = prompts.map((prompt) => tooLong(prompt, maxModelLen)).find((one) => one);
  if (problem) return problem;
  return prompts.map((prompt) => {
    const room = maxModelLen - prompt.tokens.length;
    return { ...prompt, maxTokens: Math.min(asked ?? room, room) };
  });
}
