import { expect, test } from "vitest";
import { figuresOf, verdictsOf } from "../../bench/figures.ts";
import { pictureOf } from "../../bench/picture.ts";
import { numberText, reportOf, withReport } from "../../bench/report.ts";
import { requestsOf, sampleOf } from "./samples.ts";

const samples = [
  ...requestsOf("direct", [0, 0, 0]),
  ...requestsOf("nginx", [20, 20, 20]),
  ...requestsOf("pdjob", [70, 70, 70]),
];

test("the report has goals, figures, and what ran where", () => {
  const report = reportOf({
    made: { nginx: "nginx/1.22.1", rounds: "3 of 2 s each" },
    leftOut: { toy: "no Python" },
    figures: figuresOf(samples),
    verdicts: verdictsOf(samples),
  });
  expect(report).toMatchInlineSnapshot(`
    "| goal | wanted | measured | 95 % interval |  |
    | --- | --- | --- | --- | --- |
    | CPU per 1 KB request: pdjob ÷ nginx | ≤ 4 | 3.5 | 3.5 – 3.5 | met |

    **1 KB requests, 32 clients** (medians of the rounds)

    |  | CPU µs per request | requests/s | p50 ms | failed |
    | --- | --- | --- | --- | --- |
    | direct | – | 500 | 0 | 0 |
    | nginx | 20 | 500 | 0 | 0 |
    | pdjob | 70 | 500 | 0 | 0 |

    - nginx: nginx/1.22.1
    - rounds: 3 of 2 s each
    - toy did not take part: no Python"
  `);
});

test("numbers have three digits, and say when there is none", () => {
  const numbers = [0, 0.99949, 1.234, 45.678, 1234.5, Number.POSITIVE_INFINITY, Number.NaN];
  expect(numbers.map(numberText)).toEqual(["0", "0.999", "1.23", "45.7", "1235", "∞", "–"]);
});

test("a page keeps what people wrote around the measured part", () => {
  const page = withReport(
    "# Title\n\n<!-- measured: npm run bench:proxy -- --update-docs -->\nold\n<!-- end of what was measured -->\n\nwords\n",
    "new",
  );
  expect(page).toBe(
    "# Title\n\n<!-- measured: npm run bench:proxy -- --update-docs -->\n\n![Processor time of each contender](performance.svg)\n\nnew\n\n<!-- end of what was measured -->\n\nwords\n",
  );
  expect(() => withReport("# Title", "new")).toThrow("the page lacks");
});

test("the picture has a bar for each contender that used something, the shortest first", () => {
  const picture = pictureOf(figuresOf(samples));
  expect([...picture.matchAll(/>(\w+)<\/text><rect/g)].map(([, name]) => name)).toEqual([
    "nginx",
    "pdjob",
  ]);
  const lengths = [...picture.matchAll(/<rect x='110' .*?width='(\d+)'/g)].map(
    ([, length]) => length,
  );
  expect(lengths.map(Number)).toEqual([...lengths].map(Number).toSorted((a, b) => a - b));
  expect(picture).not.toContain("NaN");
});

test("a scenario that was not measured has no panel", () => {
  const [stream] = figuresOf([
    sampleOf({
      scenario: "streams",
      contender: "pdjob",
      cpuMs: 100,
      tokens: 5_000,
      offered: 5_000,
    }),
  ]);
  expect(pictureOf(stream ? [stream] : [])).not.toContain("1 KB");
});
