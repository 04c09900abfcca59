import { parseArgs } from "node:util";
import { scenarioNames } from "./scenario.ts";
import type { modes, ScenarioName } from "./scenario.ts";

const contenderNames = ["direct", "nginx", "pdjob", "vllm-router", "toy"] as const;

export const usage = `npm run bench:proxy -- [--quick] [--contenders LIST] [--scenarios LIST] [--update-docs] [--json]

Measures the built-in proxy beside others, between simulated engines and clients of Go's speed, and tells how it does on
the goals of docs/performance.md. Takes up to ten minutes; what came out is in .pdjob/bench.

  --quick        3 short rounds instead of 7: less than a minute, and not sure of much
  --contenders   of ${contenderNames.join(",")} (default: all)
  --scenarios    of ${scenarioNames.join(",")} (default: all)
  --update-docs  also writes docs/performance.json and .svg, and the measured part of docs/performance.md
  --json         prints the result as JSON

Whoever is not installed is left out, which the report says: nginx (Debian: apt-get install nginx-light), vllm-router.
Go compiles the engines and the clients.

Examples:
  npm run bench:proxy
  npm run bench:proxy -- --quick
  npm run bench:proxy -- --contenders nginx,pdjob --scenarios streams
  npm run -s bench:proxy -- --quick --json > result.json`;

export interface Options {
  readonly mode: keyof typeof modes;
  readonly contenders: readonly string[];
  readonly scenarios: readonly ScenarioName[];
  readonly updatesDocs: boolean;
  readonly isJson: boolean;
}

/** "help" when that is asked for. Throws an Error that says what is wrong. */
export function readOptions(args: readonly string[]): Options | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      contenders: { type: "string", default: contenderNames.join(",") },
      scenarios: { type: "string", default: scenarioNames.join(",") },
      "update-docs": { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const scenarios = listOf("--scenarios", values.scenarios, scenarioNames);
  if (scenarios.includes("half-rate") && !scenarios.includes("request"))
    throw new Error("--scenarios: half-rate needs request, which finds the highest rate.");
  return {
    mode: values.quick ? "quick" : "full",
    contenders: listOf("--contenders", values.contenders, contenderNames),
    scenarios,
    updatesDocs: values["update-docs"],
    isJson: values.json,
  };
}

/** In the order of `known`. */
function listOf<T extends string>(option: string, text: string, known: readonly T[]): readonly T[] {
  const asked = text.split(",");
  const strange = asked.find((name) => !known.some((one) => one === name));
  if (strange !== undefined)
    throw new Error(`${option}: "${strange}" is none of ${known.join(", ")}.`);
  return known.filter((one) => asked.includes(one));
}
