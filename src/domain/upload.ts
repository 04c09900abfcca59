/** What of a folder is uploaded, as the agent counts it. Names are the first few. */
export interface FolderSurvey {
  readonly files: number;
  readonly bytes: number;
  /** Not uploaded: named in .gitignore or .rayignore, of no use on a node, or a link to a folder. */
  readonly leftOut: readonly string[];
  /** Files that look as if they held secrets. */
  readonly secrets: readonly string[];
}

/** Ray takes packages of up to this size; half of it is a reason to think again. */
const packageBytesMax = 512 * 1024 * 1024;

/** What is handed around, how much it is, and what one may not have meant to hand around. */
export function uploadText(
  directory: string,
  { files, bytes, leftOut, secrets }: FolderSurvey,
  packedBytes?: number,
): string {
  const count = files === 1 ? "1 file" : `${files} files`;
  const packed = packedBytes === undefined ? "" : `, ${sizeText(packedBytes)} packed`;
  const without = leftOut.length > 0 ? `, without ${leftOut.join(", ")}` : "";
  const secret =
    secrets.length > 0
      ? ` ${secrets.join(", ")} may hold secrets: list what is not for every node in a .rayignore there.`
      : "";
  const large =
    packedBytes !== undefined && packedBytes > packageBytesMax / 2
      ? ` That is more than half of the ${sizeText(packageBytesMax)} that Ray takes.`
      : "";
  return `${count}, ${sizeText(bytes)}${packed}, of ${directory}${without}.${secret}${large}`;
}

function sizeText(bytes: number): string {
  const [unit, size] =
    bytes >= 1024 ** 2
      ? ["MiB", bytes / 1024 ** 2]
      : bytes >= 1024
        ? ["KiB", bytes / 1024]
        : ["bytes", bytes];
  return `${unit === "bytes" ? size : size.toFixed(1)} ${unit}`;
}
