import { setTimeout as sleep } from "node:timers/promises";
import { Agent } from "undici";
import { expectedText } from "../../src/sim/text.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { complete } from "../support/rig.ts";
import type { Outcome } from "./rules/amnesty.ts";

const lanes = 4;
const tokens = 30;
/** A lane that cannot reach anything tries again after this long. */
const pauseMs = 200;
/**
 * A connection that idles is closed by a retired proxy after 5 s. A client that has no processor time at that very moment may send
 * its next request on it, and that is nobody's fault: so ours gives up such connections much sooner.
 */
const idleMs = 1_000;

/** Streams and whole answers until stopped, each compared word for word with what the simulated engines must say. */
export function startLoad(spec: JobSpec) {
  let stopping = false;
  const outcomes: Outcome[] = [];
  const dispatcher = new Agent({ keepAliveTimeout: idleMs, keepAliveMaxTimeout: idleMs });

  async function lane(number: number): Promise<void> {
    for (let turn = 0; !stopping; turn++) {
      const startedMs = Date.now();
      const stream = number % 2 === 0;
      const prompt = `lane ${number} turn ${turn}`;
      const verdict = await complete(
        spec,
        { prompt, max_tokens: tokens, stream },
        { dispatcher },
      ).then(
        (answer) => judge(answer, prompt, stream),
        (error: Error) => ({
          kind: "error" as const,
          text: inWords(error),
          isBroken: true as const,
        }),
      );
      outcomes.push({ startedMs, endedMs: Date.now(), ...verdict });
      if (verdict.kind !== "ok") await sleep(pauseMs);
    }
  }

  const running = Array.from({ length: lanes }, (_, number) => lane(number));
  return {
    async stop(): Promise<readonly Outcome[]> {
      stopping = true;
      await Promise.all(running);
      await dispatcher.close();
      return outcomes;
    },
  };
}

/** What undici means is in the cause. */
const inWords = ({ message, cause }: Error): string =>
  cause instanceof Error ? `${message}: ${cause.message}` : message;

function judge(
  { status, text }: { readonly status: number; readonly text: string },
  prompt: string,
  stream: boolean,
): Pick<Outcome, "kind" | "text"> {
  if (status !== 200) return { kind: "error", text: `${status}: ${text.slice(0, 200)}` };
  if (!stream) return compare(wordsOf([text]), prompt);
  const events = text
    .split("\n")
    .filter((line) => line.startsWith("data: {"))
    .map((line) => line.slice("data: ".length));
  const failed = events.find((event) => event.startsWith('{"error"'));
  if (failed) return { kind: "error", text: failed.slice(0, 200) };
  if (!text.trimEnd().endsWith("data: [DONE]"))
    return { kind: "silent", text: `a stream of ${events.length} events without an end` };
  return compare(wordsOf(events), prompt);
}

const wordsOf = (events: readonly string[]): string =>
  events
    .map((event) => (JSON.parse(event) as { choices: { text?: string }[] }).choices[0]?.text ?? "")
    .join("");

const compare = (words: string, prompt: string): Pick<Outcome, "kind" | "text"> =>
  words === expectedText("sim/tiny", prompt, tokens)
    ? { kind: "ok", text: "" }
    : { kind: "silent", text: `other words than the engines must say: ${words.slice(0, 80)}` };
