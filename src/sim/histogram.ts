/** Upper bounds, ascending. */
export type Buckets = readonly number[];

export interface Histogram {
  observe(value: number): void;
  render(labels: string): readonly string[];
}

/** One histogram in Prometheus' text format. */
export function createHistogram(name: string, bounds: Buckets): Histogram {
  const counts = bounds.map(() => 0);
  let sum = 0;
  let count = 0;
  return {
    observe(value) {
      bounds.forEach((bound, index) => {
        if (value <= bound) counts[index] = (counts[index] ?? 0) + 1;
      });
      sum += value;
      count += 1;
    },
    render: (labels) => [
      `# TYPE ${name} histogram`,
      ...bounds.map(
        (bound, index) => `${name}_bucket{${labels},le="${decimal(bound)}"} ${counts[index] ?? 0}`,
      ),
      `${name}_bucket{${labels},le="+Inf"} ${count}`,
      `${name}_count{${labels}} ${count}`,
      `${name}_sum{${labels}} ${sum}`,
    ],
  };
}

const decimal = (value: number): string => (Number.isInteger(value) ? `${value}.0` : `${value}`);
