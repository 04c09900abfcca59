import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { membershipAdapters } from "../../src/domain/membership.ts";

const page = readFileSync("docs/proxies.md", "utf8");
const begin =
  "<!-- from src/domain/membership.ts: npx vitest run test/cli/proxies-page.test.ts -u -->";
const end = "<!-- end -->";

const table = [
  "| membership | proxies | how it is told | acknowledged | waited for before a replica stops | loses |",
  "|---|---|---|---|---|---|",
  ...Object.entries(membershipAdapters).map(
    ([name, { proxies, told, acknowledged, drained, loses }]) =>
      `| \`${name}\` | ${[proxies, told, acknowledged, drained].join(" | ")} | ${loses.join(" · ") || "nothing"} |`,
  ),
].join("\n");

test("docs/proxies.md has the table of the adapters as it is in the source", async () => {
  const [before = "", rest = ""] = page.split(begin);
  const [, after = ""] = rest.split(end);
  await expect(`${before}${begin}\n\n${table}\n\n${end}${after}`).toMatchFileSnapshot(
    "../../docs/proxies.md",
  );
});
