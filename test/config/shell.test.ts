import fc from "fast-check";
import { expect, test } from "vitest";
import { splitCommand } from "../../src/config/shell.ts";

const wordsOf = (text: string): readonly string[] | string => {
  const split = splitCommand(text);
  return split.ok ? split.words : split.message;
};

test.each([
  ["", []],
  ["  \t\n ", []],
  ["a  b\tc\nd\r\ne", ["a", "b", "c", "d", "e"]],
  ["'a b' \"c d\"", ["a b", "c d"]],
  ["a'b c'd", ["ab cd"]],
  ["'' \"\"", ["", ""]],
  ["'a\\b\"c'", ['a\\b"c']],
  ['"a\\"b\\\\c\\$d\\`e\\nf"', ['a"b\\c$d`e\\nf']],
  ["a\\ b \\'c \\\\", ["a b", "'c", "\\"]],
  ["a \\\n b", ["a", "b"]],
  ["a\\\nb", ["ab"]],
  ['"a\\\nb"', ["ab"]],
  ["$HOME ${A} {PORT} *.py ~ | # x", ["$HOME", "${A}", "{PORT}", "*.py", "~", "|", "#", "x"]],
  ["--json '{\"a\": 1}'", ["--json", '{"a": 1}']],
])("%j is split as a shell splits it", (text, words) => {
  expect(wordsOf(text)).toEqual(words);
});

test.each([
  ["a 'b", "opens a single quote at character 3 that is never closed"],
  ['"a\\"', "opens a double quote at character 1 that is never closed"],
  ["a \\", "ends in a lone backslash"],
])("%j is not split, and the message says where it goes wrong", (text, start) => {
  expect(wordsOf(text)).toContain(start);
});

test("words in single quotes come back as they were", () => {
  const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "binary" })), (words) => {
      expect(wordsOf(words.map(quote).join(" "))).toEqual(words);
    }),
  );
});

test("words with every character escaped come back as they were", () => {
  const escape = (word: string): string =>
    word.replaceAll(/[^\n]/gu, "\\$&").replaceAll("\n", "'\n'");
  fc.assert(
    fc.property(fc.array(fc.string({ minLength: 1 })), (words) => {
      expect(wordsOf(words.map(escape).join("\t"))).toEqual(words);
    }),
  );
});

test("words in double quotes come back as they were", () => {
  const quote = (word: string): string => `"${word.replaceAll(/["\\$`]/g, "\\$&")}"`;
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "binary" })), (words) => {
      expect(wordsOf(words.map(quote).join("  "))).toEqual(words);
    }),
  );
});

test("nothing is lost or made up: words never hold more characters than the text", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."ab '\"\\\n$") }), (text) => {
      const split = splitCommand(text);
      if (split.ok) expect(split.words.join("").length).toBeLessThanOrEqual(text.length);
      else expect(text).toMatch(/['"\\]/);
    }),
  );
});
