import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { connectorNames } from "../../src/domain/connectors/table.ts";
import { connectorsPage } from "../support/connectors-page.ts";

test("docs/connectors.md is current (else: npx vitest run test/domain/page.test.ts -u)", async () => {
  await expect(connectorsPage()).toMatchFileSnapshot("../../docs/connectors.md");
});

test("docs/connectors.md names every connector that any release knows", () => {
  const page = readFileSync("docs/connectors.md", "utf8");
  expect(connectorNames.filter((name) => !page.includes(name))).toEqual([]);
});
