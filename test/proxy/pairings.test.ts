import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import type { Member } from "../../src/domain/observed.ts";
import { mayPair } from "../../src/domain/revision.ts";
import { readMembership } from "../../src/proxy/admin.ts";
import { createPool } from "../../src/proxy/members/membership.ts";
import { choosePair } from "../../src/proxy/selection/pair.ts";
import { createScene, echoAnswer, messageOf, post, prefillAnswer } from "./rig.ts";
import type { FakeEngine } from "./rig.ts";

const scene = createScene();
afterEach(scene.stop);

const of = ({ member }: FakeEngine, pairings: readonly number[]): Member => ({
  ...member,
  pairings,
});

/** Two prefills and two decodes of each of two kinds whose KV does not fit together, behind one proxy. */
async function twoKinds() {
  const kinds = await Promise.all(
    [1, 2].map(async (kind) => {
      const prefills = [`p${kind}a`, `p${kind}b`].map((name) =>
        scene.engine(name, "prefill", prefillAnswer({ remote_request_id: `kind ${kind}` })),
      );
      const decodes = [`d${kind}a`, `d${kind}b`].map((name) =>
        scene.engine(name, "decode", echoAnswer),
      );
      return {
        kind,
        prefills: await Promise.all(prefills),
        decodes: await Promise.all(decodes),
      };
    }),
  );
  const { proxy } = await scene.pair();
  const members = kinds.flatMap(({ kind, prefills, decodes }) =>
    [...prefills, ...decodes].map((engine) => of(engine, [kind])),
  );
  return { kinds, proxy, members };
}

describe("two that share no pairing", () => {
  test("never hand KV to each other, and both kinds serve", async () => {
    const { kinds, proxy, members } = await twoKinds();
    // Not as many of one role as of the other: turns alone would keep the kinds apart by chance.
    const uneven = members.filter(({ name }) => name !== "p2b" && name !== "d1b");
    proxy.pool.replace({ generation: 9, members: uneven });
    const answers = await Promise.all(
      Array.from({ length: 40 }, () => post(proxy.url, { prompt: "x" })),
    );
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    for (const { kind, decodes } of kinds) {
      const seen = decodes.flatMap((engine) => engine.seen.map(({ body }) => body));
      expect(seen.length).toBeGreaterThan(0);
      const handed = new Set(seen.map((body) => JSON.stringify(body["kv_transfer_params"])));
      expect([...handed]).toEqual([`{"remote_request_id":"kind ${kind}"}`]);
    }
  });

  test("are no pair: what is missing is told, and an engine that broke is not replaced by one of another kind", async () => {
    const { kinds, proxy, members } = await twoKinds();
    const [old, next] = kinds;
    const left = members.filter(({ name }) => name === "p1a" || name.startsWith("d2"));
    proxy.pool.replace({ generation: 9, members: left });
    expect(proxy.pool.hasPair()).toBe(false);
    const refused = await post(proxy.url, { prompt: "x" });
    expect([refused.status, messageOf(refused)]).toEqual([
      503,
      "No prefill and decode replica of one revision are ready together (1 prefill, 2 decode). See pdjob-client status.",
    ]);
    const one = members.filter(({ name }) => ["p1a", "d1a", "p2a", "d2a"].includes(name));
    proxy.pool.replace({ generation: 10, members: one });
    for (const engine of old?.decodes ?? []) engine.close();
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => post(proxy.url, { prompt: "x" })),
    );
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    const seen = (next?.decodes ?? []).flatMap((engine) => engine.seen);
    expect(seen).toHaveLength(10);
    expect(seen.map(({ body }) => JSON.stringify(body["kv_transfer_params"]))).not.toContain(
      '{"remote_request_id":"kind 1"}',
    );
  });

  test("are never chosen together, and a pair is found where there is one", () => {
    const pairings = fc.option(fc.uniqueArray(fc.integer({ min: 1, max: 4 }), { maxLength: 3 }), {
      nil: undefined,
    });
    const kinds = fc.array(pairings, { maxLength: 4 });
    const names = fc.subarray(["prefill-0", "prefill-1", "decode-0", "decode-1"]);
    fc.assert(
      fc.property(kinds, kinds, names, (prefills, decodes, tried) => {
        const named = (role: Member["role"], kindsOf: typeof prefills): readonly Member[] =>
          kindsOf.map((own, at) => ({
            name: `${role}-${at}`,
            role,
            url: "http://h:1",
            ...(own ? { pairings: own } : {}),
          }));
        const [ps, ds] = [named("prefill", prefills), named("decode", decodes)];
        const pool = createPool();
        pool.replace({ generation: 1, members: [...ps, ...ds] });
        const pair = choosePair(pool, {
          tried: new Set(tried),
          withPrefill: true,
          tokens: { prompt: 1, answer: 1 },
          random: Math.random,
        });
        const isAny = ps.some((one) => ds.some((other) => mayPair(one, other)));
        expect(pair !== undefined).toBe(isAny);
        expect(pool.hasPair()).toBe(isAny);
        if (pair?.prefill) expect(mayPair(pair.prefill, pair.decode)).toBe(true);
      }),
    );
  });
});

describe("the pairings of members", () => {
  const member = (more: object) => ({ name: "p", role: "prefill", url: "http://h:1", ...more });
  const read = (more: object) =>
    readMembership(JSON.stringify({ generation: 3, members: [member(more)] }));

  test("are taken over as they are told, none at all included", () => {
    for (const told of [{ pairings: [1, 3] }, { pairings: [] }, {}])
      expect(read(told)).toEqual({ generation: 3, members: [member(told)] });
  });

  test.each([[["1"]], [[1.5]], [1], [null]])("are not %j", (pairings) => {
    expect(read({ pairings })).toBeUndefined();
  });
});
