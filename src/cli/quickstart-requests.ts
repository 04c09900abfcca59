import { request } from "undici";
import type { JobSpec } from "../domain/spec.ts";
import { Exit } from "./exit.ts";
import { print } from "./output.ts";

const requestTimeoutMs = 120_000;

/** A completion and a streamed chat through the proxy, printed. */
export async function talk({ scheduler, roles }: JobSpec, signal: AbortSignal): Promise<void> {
  const url = `http://127.0.0.1:${scheduler.port}/v1`;
  const model = String(roles.decode.params["served_model_name"] ?? roles.decode.model);
  const prompt = { model, prompt: "The quick brown fox", max_tokens: 8 };
  const completion = await post(`${url}/completions`, prompt, signal);
  print(`\ncompletion      ${JSON.parse(completion).choices[0].text}`);
  const messages = [{ role: "user", content: "Say something" }];
  const question = { model, messages, max_tokens: 8, stream: true };
  const chat = await post(`${url}/chat/completions`, question, signal);
  const events = chat.split("\n").filter((line) => line.startsWith("data: {"));
  const text = events
    .map((line) => JSON.parse(line.slice("data: ".length)).choices[0]?.delta?.content ?? "")
    .join("");
  print(`streamed chat   ${text} (${events.length} events)`);
}

async function post(url: string, body: unknown, signal: AbortSignal): Promise<string> {
  const answer = await request(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    headersTimeout: requestTimeoutMs,
    bodyTimeout: requestTimeoutMs,
    signal,
  });
  const text = await answer.body.text();
  if (answer.statusCode !== 200) throw new Exit(1, `${url} answered ${answer.statusCode}: ${text}`);
  return text;
}
