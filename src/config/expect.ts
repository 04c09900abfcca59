import { z } from "zod";

/** What is wrong with a value, given what it must be: `is missing: give …` or `must be …, not …`. */
export const mustBe = (expected: string) => ({
  error: ({ input }: { readonly input?: unknown }): string =>
    input === undefined
      ? `is missing: give ${expected}.`
      : `must be ${expected}, not ${described(input)}.`,
});

/** A text that is none of those needs no telling that it is one. */
export const mustBeOneOf = (expected: string) => ({
  error: ({ input }: { readonly input?: unknown }): string =>
    typeof input === "string" && input !== ""
      ? mustRead(expected).error()
      : mustBe(expected).error({ input }),
});

/** A plain `1234` or `true` may have the very form of the text that is asked for: what it lacks is its quotes. */
export const mustBeText = (expected: string) => ({
  error: ({ input }: { readonly input?: unknown }): string =>
    typeof input === "number" || typeof input === "boolean"
      ? `is ${typeof input === "number" ? "a number" : `the value ${input}`}, not text: put it in quotes.`
      : mustBe(expected).error({ input }),
});

/** Kinds, not contents: whatever the user wrote may be a secret. */
function described(value: unknown): string {
  if (value === null) return "empty";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  if (typeof value !== "string") return String(value);
  if (value === "") return "an empty text";
  return /^-?\d{1,9}$/.test(value) ? "a number in quotes" : "text";
}

export const whole = (min: number, max: number, what = "") => {
  const expected = mustBe(`a whole number${what} from ${min} to ${max}`);
  return z.number(expected).int(expected).min(min, expected).max(max, expected);
};

/** A text of any other form: `must be …` says it all. */
export const mustRead = (expected: string) => ({ error: () => `must be ${expected}.` });

export const text = (what: string) => z.string(mustBe(what)).min(1, mustBe(what));

export const seconds = (min: number, max: number) => whole(min, max, " of seconds");

export const anything = (description: string) => z.unknown().describe(description).optional();

export const mapping = mustBe("a mapping of keys");
