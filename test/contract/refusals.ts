import { createServer } from "node:net";
import { describe, expect, test } from "vitest";
import { launch, ownPort } from "./bed.ts";
import type { Bed, Ended } from "./bed.ts";

/** More at a time would only slow each other down. */
const atOnceMax = 3;
const kv = (config: object): readonly string[] => [
  "--kv-transfer-config",
  JSON.stringify({ kv_connector: "NixlConnector", kv_role: "kv_producer", ...config }),
];
const invalid = (rest: string) =>
  `vllm serve: error: argument --kv-transfer-config: 1 validation error for KVTransferConfig\n${rest}`;

interface Refusal {
  readonly what: string;
  readonly flags: readonly string[];
  readonly code: 1 | 2;
  readonly says: string;
}

const refusals: readonly Refusal[] = [
  {
    what: "an unknown flag",
    flags: ["--no-such-flag", "1"],
    code: 2,
    says: "vllm: error: unrecognized arguments: --no-such-flag 1",
  },
  {
    what: "--no- before a flag that is no switch",
    flags: ["--no-dtype"],
    code: 2,
    says: "vllm: error: unrecognized arguments: --no-dtype",
  },
  {
    what: "--no- before a switch that cannot be turned off",
    flags: ["--no-disable-log-stats"],
    code: 2,
    says: "vllm: error: unrecognized arguments: --no-disable-log-stats",
  },
  {
    what: "a word too many",
    flags: ["stray"],
    code: 2,
    says: "vllm: error: unrecognized arguments: stray",
  },
  {
    what: "a flag without its value",
    flags: ["--block-size"],
    code: 2,
    says: "vllm serve: error: argument --block-size: expected one argument",
  },
  {
    what: "a word for a number",
    flags: ["--max-num-batched-tokens", "x"],
    code: 2,
    says: "vllm serve: error: argument --max-num-batched-tokens: invalid human_readable_int value: 'x'",
  },
  {
    what: "a value that is not on the list",
    flags: ["--dtype", "float17"],
    code: 2,
    says: "vllm serve: error: argument --dtype: invalid choice: 'float17' (choose from 'auto', 'bfloat16', 'float', 'float16', 'float32', 'half')",
  },
  {
    what: "a KV key that this version does not have any more",
    flags: kv({ kv_ip: "127.0.0.1" }),
    code: 2,
    says: invalid("kv_ip\n  Unexpected keyword argument"),
  },
  {
    what: "a KV role that there is not",
    flags: kv({ kv_role: "x" }),
    code: 2,
    says: invalid("kv_role\n  Input should be 'kv_producer', 'kv_both' or 'kv_consumer'"),
  },
  {
    what: "a connector without a role",
    flags: kv({ kv_role: undefined }),
    code: 2,
    says: invalid(
      "  Value error, Please specify kv_role when kv_connector is set, supported roles are ('kv_producer', 'kv_both', 'kv_consumer')",
    ),
  },
  {
    what: "a KV policy that there is not",
    flags: kv({ kv_load_failure_policy: "x" }),
    code: 2,
    says: invalid("kv_load_failure_policy\n  Input should be 'recompute' or 'fail'"),
  },
  {
    what: "half a JSON text",
    flags: ["--kv-transfer-config", "{"],
    code: 2,
    says: invalid("  Invalid JSON: "),
  },
  {
    what: "a list for the KV configuration",
    flags: ["--kv-transfer-config", "[1]"],
    code: 2,
    says: invalid("  Input should be an object"),
  },
  {
    what: "a connector's name of old",
    flags: kv({ kv_connector: "SharedStorageConnector" }),
    code: 1,
    says: "Value error, Unsupported connector type: SharedStorageConnector",
  },
  {
    what: "a connector's name in other capitals",
    flags: kv({ kv_connector: "nixlconnector" }),
    code: 1,
    says: "Value error, Unsupported connector type: nixlconnector",
  },
  {
    what: "a role without a connector",
    flags: ["--kv-transfer-config", '{"kv_role":"kv_both"}'],
    code: 1,
    says: "Value error, Connector name is not set in KVTransferConfig",
  },
];

/** Command lines that end by themselves: exit code 2 and argparse's words, or 1 and a reason at the end of a long trace. */
export function refusalCases(bed: () => Bed): void {
  describe("a command line is refused for", () => {
    let outcomes: Promise<readonly Ended[]> | undefined;
    const endsOf = (): Promise<readonly Ended[]> => {
      const endAll = bed().endsOf ?? ((all) => launchEach(bed(), all));
      return (outcomes ??= endAll(refusals.map(({ flags }) => flags)));
    };
    const numbered = refusals.map((refusal, index) => ({ ...refusal, index }));
    test.each(numbered)("$what, with code $code", async ({ index, code, says }) => {
      const ended = (await endsOf())[index];
      expect(ended?.log).toContain(says);
      expect(ended?.code).toBe(code);
    });
  });

  test("a port that another program has ends the boot with code 1", async () => {
    const port = await ownPort();
    const holder = createServer().listen(port, "127.0.0.1");
    try {
      const engine = await launch(bed(), "port-taken", [], port);
      const { code } = await engine.exited;
      expect(engine.log()).toContain("Address already in use");
      expect(code).toBe(1);
    } finally {
      holder.close();
    }
  });
}

/** All of them, a few at a time. */
async function launchEach(
  bed: Bed,
  commands: readonly (readonly string[])[],
): Promise<readonly Ended[]> {
  const outcomes: Ended[] = [];
  const waiting = commands.entries();
  async function work(): Promise<void> {
    for (const [index, flags] of waiting) {
      const engine = await launch(bed, `refusal-${index}`, flags);
      const { code } = await engine.exited;
      outcomes[index] = { code, log: engine.log() };
    }
  }
  await Promise.all(Array.from({ length: atOnceMax }, work));
  return outcomes;
}
