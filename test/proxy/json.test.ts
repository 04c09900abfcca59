import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeBody, parseBody, prefillBody } from "../../src/proxy/bytes/body.ts";
import type { Body } from "../../src/proxy/bytes/body.ts";
import { edit, jsonOf, textOf, valueOf } from "../../src/proxy/bytes/edit.ts";
import { itemsOf, scanObject } from "../../src/proxy/bytes/json.ts";
import type { JsonObject } from "../../src/proxy/bytes/json.ts";
import { cases } from "../support/thorough.ts";

const numRuns = cases(1_000, 10_000);

const blank = fc.string({ unit: fc.constantFrom(" ", "\t", "\n", "\r"), maxLength: 2 });
/** A string as JSON text: with characters of every length in UTF-8, lone surrogates, and each of them escaped or not. */
const stringText = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary", maxLength: 4 }).map((text) => JSON.stringify(text).slice(1, -1)),
      fc
        .nat(0xff_ff)
        .map((code) => String.raw`\u` + code.toString(16).padStart(4, "0").toUpperCase()),
      fc.constantFrom(...String.raw`\" \\ \/ \b \f \n \r \t`.split(" ")),
      fc.constantFrom("{", "}", "[", "]", ",", ":", "\u{7f}"),
    ),
    { maxLength: 5 },
  )
  .map((parts) => `"${parts.join("")}"`);
const numberText = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.constantFrom("-0", "0", "0.50", "1e400", "-1E+2", "2e-7", "123456789012345678901234567890"),
);
const scalarText = fc.oneof(stringText, numberText, fc.constantFrom("true", "false", "null"));
/** The keys that a proxy changes, also as others may spell them, among any others. */
const keyText = fc.oneof(
  stringText,
  fc.constantFrom(
    ...["max_tokens", "max_completion_tokens", "stream", "stream_options", "min_tokens", "n"].map(
      (key) => `"${key}"`,
    ),
    '"kv_transfer_params"',
    String.raw`"kv\u005ftransfer_params"`,
    '"__proto__"',
  ),
);
const { value: valueText, object: objectText } = fc.letrec<{ value: string; object: string }>(
  (tie) => ({
    value: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      scalarText,
      tie("object"),
      fc
        .tuple(blank, fc.array(fc.tuple(blank, tie("value"), blank), { maxLength: 4 }))
        .map(([inside, items]) => `[${inside}${items.map((item) => item.join("")).join(",")}]`),
    ),
    object: fc
      .tuple(
        blank,
        fc.array(fc.tuple(blank, keyText, blank, blank, tie("value"), blank), { maxLength: 6 }),
      )
      .map(
        ([inside, members]) =>
          `{${inside}${members
            .map(([before, key, a, b, value, after]) => `${before}${key}${a}:${b}${value}${after}`)
            .join(",")}}`,
      ),
  }),
);

function scan(text: string): JsonObject {
  const object = scanObject(Buffer.from(text));
  if (!object) throw new Error(`not taken for JSON: ${text}`);
  return object;
}

const parse = (bytes: Buffer): unknown => JSON.parse(bytes.toString("utf8"));

describe("for any JSON object", () => {
  test("a body that was spliced says what the same edit of the object says", () => {
    fc.assert(
      fc.property(objectText, valueText, (text, params) => {
        const body = JSON.parse(text) as Record<string, unknown>;
        const { kv_transfer_params: _kv, ...rest } = body;
        const { stream_options: _options, min_tokens: _min, ...kept } = rest;
        const one = (key: string) => (Object.hasOwn(body, key) ? { [key]: 1 } : {});
        const prefill = {
          ...kept,
          ...one("max_completion_tokens"),
          ...one("n"),
          max_tokens: 1,
          stream: false,
        };
        const object = scan(text);
        assert.deepEqual(parse(Buffer.concat(decodeBody(object, undefined))), rest);
        assert.deepEqual(parse(Buffer.concat(decodeBody(object, Buffer.from(params)))), {
          ...rest,
          kv_transfer_params: JSON.parse(params) as unknown,
        });
        assert.deepEqual(parse(Buffer.concat(prefillBody(object, "store"))), prefill);
        const { kv_transfer_params: asked, ...others } = parse(
          Buffer.concat(prefillBody(object)),
        ) as Body;
        assert.deepEqual(others, prefill);
        assert.equal((asked as Body)["do_remote_decode"], true);
      }),
      { numRuns },
    );
  });

  test("what is not changed keeps its bytes", () => {
    fc.assert(
      fc.property(objectText, (text) => {
        const object = scan(text);
        const spliced = scan(edit(object, { added: jsonOf(1) }).toString("utf8"));
        const others = object.members.filter(({ key }) => key !== "added");
        assert.deepEqual(
          spliced.members.map(({ value }) => spliced.bytes.subarray(value.from, value.to)),
          [
            ...others.map(({ value }) => object.bytes.subarray(value.from, value.to)),
            Buffer.from("1"),
          ],
        );
      }),
      { numRuns },
    );
  });
});

test("a text with bytes changed, lost or added is taken for JSON when JSON.parse takes it, and never otherwise", () => {
  const change = fc.tuple(
    fc.nat(),
    fc.nat(2),
    fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('{}[],:"\\0e.-'))),
  );
  fc.assert(
    fc.property(objectText, fc.array(change, { minLength: 1, maxLength: 2 }), (text, changes) => {
      const bytes = [...Buffer.from(text)];
      for (const [at, removed, added] of changes) bytes.splice(at % bytes.length, removed, added);
      const changed = Buffer.from(bytes);
      const said = changed.toString("utf8");
      const isUtf8 = Buffer.from(said).equals(changed);
      assert.equal(scanObject(changed) !== undefined, isUtf8 && parseBody(said) !== undefined);
    }),
    { numRuns },
  );
});

test("a list is taken apart into its items", () => {
  fc.assert(
    fc.property(fc.array(valueText, { maxLength: 5 }), blank, (items, between) => {
      const list = Buffer.from(`[${between}${items.join(`${between},${between}`)}${between}]`);
      expect([...itemsOf(list)].map(String)).toEqual(items);
    }),
  );
  expect([...itemsOf(Buffer.from('"[1]"'))]).toEqual([]);
});

test("of a key that comes twice the last value counts, however it is spelt", () => {
  const object = scan(String.raw`{"n": 1, "a": [2], "\u006e": "3"}`);
  expect([valueOf(object, "n"), textOf(object, "a")?.toString(), valueOf(object, "b")]).toEqual([
    "3",
    "[2]",
    undefined,
  ]);
  const parts = decodeBody(scan(String.raw`{"kv\u005ftransfer_params": 1}`), undefined);
  expect(Buffer.concat(parts).toString()).toBe("{}");
});

test.each([
  ["nothing", ""],
  ["a list", "[1]"],
  ["two objects", "{}{}"],
  ["a comma too many", '{"a":1,}'],
  ["a value without a key", "{1}"],
  ["single quotes", "{'a':1}"],
  ["a number that begins with 0", '{"a":01}'],
  ["a number without digits", '{"a":-}'],
  ["NaN", '{"a":NaN}'],
  ["a tab in a string", '{"a":"\t"}'],
  ["an escape that is none", String.raw`{"a":"\x41"}`],
  ["a byte order mark", "\u{feff}{}"],
  ["an end in a string", '{"a":"'],
  ["an end in an escape", String.raw`{"a":"\u00`],
  ["an end in a list", '{"a":[1,'],
])("%s is no JSON object", (_, text) => {
  expect(scanObject(Buffer.from(text))).toBeUndefined();
});

test("bytes that are no UTF-8 are no JSON", () => {
  expect(
    scanObject(Buffer.from([...Buffer.from('{"a":"'), 0xc3, ...Buffer.from('"}')])),
  ).toBeUndefined();
});

test("a hundred thousand lists in each other exhaust no stack", () => {
  const deep = 100_000;
  expect(scanObject(Buffer.from(`{"a":${"[".repeat(deep)}${"]".repeat(deep)}}`))).toBeDefined();
  expect(scanObject(Buffer.from(`{"a":${"[".repeat(deep)}`))).toBeUndefined();
});

describe("a long string", () => {
  const filler = "all work and no play, ".repeat(20);
  const at = (offset: number, inserted: string): Buffer =>
    Buffer.from(`{"a":"${filler.slice(0, offset)}${inserted}${filler}"}`);
  const offsets = Array.from({ length: 140 }, (_, offset) => offset);

  test("ends at its quote, wherever that is", () => {
    for (const offset of offsets) {
      const text = filler.slice(0, offset);
      const { members } = scan(`{"a":"${text}","b":"${filler}"}`);
      expect(members.map(({ value }) => value.to - value.from)).toEqual([
        offset + 2,
        filler.length + 2,
      ]);
    }
  });

  test("may have escapes and any other character at any place", () => {
    for (const offset of offsets)
      for (const inserted of [
        String.raw`\"`,
        String.raw`\\`,
        "\u{7f}",
        "é",
        "\u{10ffff}",
        "\u{80}",
      ])
        expect(scanObject(at(offset, inserted))?.members.length).toBe(1);
  });

  test("has no control character, and no bad escape, at any place", () => {
    for (const offset of offsets)
      for (const inserted of ["\0", "\n", "\u{1f}", String.raw`\x`])
        expect(scanObject(at(offset, inserted))).toBeUndefined();
  });

  test("is read the same wherever its bytes are in memory", () => {
    const text = at(0, "");
    for (let shift = 0; shift < 8; shift++) {
      const moved = Buffer.concat([Buffer.alloc(shift, '"'), text]).subarray(shift);
      expect(scanObject(moved)?.members[0]?.whole).toEqual({ from: 1, to: text.length - 1 });
    }
  });
});
