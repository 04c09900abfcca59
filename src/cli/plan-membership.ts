import { membershipAdapters } from "../domain/membership.ts";
import type { Member } from "../domain/observed.ts";
import type { JobSpec } from "../domain/spec.ts";
import { renderTelling } from "../render/membership.ts";
import { columns, print } from "./output.ts";

/** How the proxy learns of its members, what that loses, and what would be sent or written for these. */
export function membershipOf(spec: JobSpec, members: readonly Member[]) {
  const kind = spec.scheduler.membership;
  const telling = renderTelling(spec, { generation: 1, members });
  return { kind, ...membershipAdapters[kind], ...(telling ? { telling } : {}) };
}

export function printMembership({
  kind,
  told,
  acknowledged,
  drained,
  loses,
  telling,
}: ReturnType<typeof membershipOf>): void {
  const facts = [
    ["told", told],
    ["acknowledged", acknowledged],
    ["waited for before a stop", drained],
    ...loses.map((loss) => ["loses", loss]),
  ];
  print(`\nmembership ${kind}`);
  print(columns(facts.map(([what = "", fact = ""]) => [`  ${what}`, fact.replaceAll("`", "")])));
  if (telling?.kind === "file") print(`  ${telling.path}:\n${telling.text.replace(/^/gm, "    ")}`);
  if (telling?.kind === "http")
    for (const { add, remove } of telling.calls)
      for (const call of [add, remove])
        if (call) print(`  ${call.method} ${call.url}${call.body ? ` ${call.body}` : ""}`);
}
