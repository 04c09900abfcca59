import { expect, test } from "vitest";
import { createParts } from "../../src/proxy/admission/intake.ts";

test("a body in pieces of one byte is kept in few objects, and whole", () => {
  const parts = createParts();
  const text = "pieces ".repeat(20_000);
  for (const byte of Buffer.from(text)) parts.add(Buffer.from([byte]));
  expect(parts.count()).toBeLessThan(2_000);
  expect(parts.whole().toString()).toBe(text);
});

test("what was given away is kept no longer", () => {
  const parts = createParts();
  parts.add(Buffer.from("a"));
  const whole = parts.whole();
  parts.clear();
  expect([whole.toString(), parts.count()]).toEqual(["a", 0]);
});
