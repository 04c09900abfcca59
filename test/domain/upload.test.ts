import { expect, test } from "vitest";
import { uploadText } from "../../src/domain/upload.ts";

const survey = { files: 12, bytes: 34_816, leftOut: [], secrets: [] };

test("it is said how much is handed around, and how much of that is sent", () => {
  expect(uploadText("/d", survey)).toBe("12 files, 34.0 KiB, of /d.");
  expect(uploadText("/d", { ...survey, files: 1, bytes: 12 }, 5_242_880)).toBe(
    "1 file, 12 bytes, 5.0 MiB packed, of /d.",
  );
});

test("what stays, what looks secret and what is nearly too large is said, too", () => {
  const odd = { ...survey, leftOut: [".git", "models"], secrets: [".env"] };
  expect(uploadText("/d", odd, 300 * 1024 ** 2)).toBe(
    "12 files, 34.0 KiB, 300.0 MiB packed, of /d, without .git, models. .env may hold secrets: list what is not for every node in a .rayignore there. That is more than half of the 512.0 MiB that Ray takes.",
  );
});
