import { sections } from "../merge.ts";
import { nodeAt, scalarsBelow } from "../node.ts";
import { problem } from "../problem.ts";
import type { Problem } from "../problem.ts";
import type { Reading } from "../reading.ts";

/** In a mapping a number is passed on as JSON, and JSON is written from what JavaScript can hold. */
export function numbersAreExact({ root }: Reading): readonly Problem[] {
  return sections.flatMap((section) => {
    const place = [section, "params"];
    const node = nodeAt(root, place);
    if (node === undefined) return [];
    return [...scalarsBelow(node, place)].flatMap(({ path, value }) => {
      const isInMapping = path.length > place.length + 1 && !/^\d+$/.test(path.at(-1) ?? "");
      if (!isInMapping || typeof value !== "number" || !isRounded(value)) return [];
      return [
        problem(
          path,
          "is a number with more digits than can be passed on exactly: put it in quotes.",
        ),
      ];
    });
  });
}

const isRounded = (value: number): boolean =>
  Number.isInteger(value) && !Number.isSafeInteger(value);
