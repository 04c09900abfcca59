import { numberText } from "./report.ts";
import type { Figure, Metric } from "./figures.ts";
import type { ScenarioName } from "./scenario.ts";

/** Bars of processor time, as SVG: what one look at docs/performance.md should tell. */

const panels: readonly (readonly [ScenarioName, Metric, string])[] = [
  ["request", "cpuUsPerRequest", "CPU per 1 KB request, µs"],
  ["long-prompt", "cpuUsPerRequest", "CPU per request with a 200 KB prompt, µs"],
  ["streams", "cpuUsPerToken", "CPU per streamed token at 256 streams, µs"],
];
const width = 720;
const labelWidth = 110;
const valueWidth = 80;
const rowHeight = 22;
const panelGap = 26;
const colors: Readonly<Record<string, string>> = { pdjob: "#2f6fde" };
const otherColor = "#9aa4b2";

/** Lengths are logarithmic over the decades that occur: between the toy proxy and nginx lie more than two of them. */
export function pictureOf(figures: readonly Figure[]): string {
  const parts: string[] = [];
  let top = 8;
  for (const [scenario, metric, title] of panels) {
    const bars = figures.filter(
      (one) => one.scenario === scenario && one.metric === metric && one.value > 0,
    );
    if (bars.length === 0) continue;
    parts.push(text(0, top + 12, `${title} (logarithmic, less is better)`, "font-weight='600'"));
    top += rowHeight;
    const floor = Math.min(...bars.map(({ value }) => value)) / 2;
    const span = Math.log(Math.max(...bars.map(({ value }) => value)) / floor);
    for (const bar of bars.toSorted((a, b) => a.value - b.value)) {
      parts.push(barOf(bar, top, Math.log(bar.value / floor) / span));
      top += rowHeight;
    }
    top += panelGap - rowHeight / 2;
  }
  const style = "font-family='system-ui, sans-serif' font-size='13' fill='#3b4250'";
  return `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 ${width} ${top}' ${style}>\n<rect width='100%' height='100%' fill='#ffffff'/>\n${parts.join("\n")}\n</svg>\n`;
}

function barOf({ contender, value }: Figure, top: number, share: number): string {
  const length = Math.max(1, Math.round(share * (width - labelWidth - valueWidth)));
  const color = colors[contender] ?? otherColor;
  return [
    text(labelWidth - 8, top + 14, contender, "text-anchor='end'"),
    `<rect x='${labelWidth}' y='${top + 2}' width='${length}' height='${rowHeight - 6}' rx='2' fill='${color}'/>`,
    text(labelWidth + length + 6, top + 14, numberText(value)),
  ].join("");
}

const text = (x: number, y: number, words: string, more = ""): string =>
  `<text x='${x}' y='${y}' ${more}>${words}</text>`;
