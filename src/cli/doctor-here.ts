import { execa } from "execa";
import { findTemporal } from "../dev/temporal-cli.ts";
import { findPython } from "../ray/agent.ts";
import { check } from "./check.ts";
import type { Check } from "./check.ts";

const nodeMin = [20, 19] as const;

/** What the programs of this machine need. */
export const checkHere = (): Promise<readonly Check[]> =>
  Promise.all([
    check("node", checkNode),
    check("python", checkPython),
    check("temporal CLI", checkCli),
  ]);

function checkNode(): string {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > nodeMin[0] || (major === nodeMin[0] && minor >= nodeMin[1])) return process.version;
  throw new Error(`${process.version}: install Node.js ${nodeMin.join(".")} or newer`);
}

async function checkPython(): Promise<string> {
  const program = "import ray, sys; print(sys.version.split()[0], 'with Ray', ray.__version__)";
  const { stdout, failed } = await execa(findPython(), ["-c", program], { reject: false });
  if (!failed) return `${stdout} (${findPython()})`;
  throw new Error(
    `${findPython()} cannot import Ray: run npm run setup once, or set PDJOB_PYTHON to a Python with the cluster's Ray`,
  );
}

async function checkCli(): Promise<string> {
  const { path, version } = await findTemporal();
  return `${version} (${path})`;
}
