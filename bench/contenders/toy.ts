import { join } from "node:path";
import { execa } from "execa";
import type { Contender } from "../contender.ts";
import { freePorts, startProgram } from "../program.ts";

/** A stand-in of vLLM's toy proxy: see bench/toy/proxy.py. */
export const toy: Contender = {
  name: "toy",
  hops: 2,
  warmsUp: false,
  async start({ root, dir, prefillPorts, decodePorts }) {
    const setUp = await execa(process.execPath, [join(root, "scripts", "setup-extra.mjs"), "toy"], {
      reject: false,
      stdout: "ignore",
    });
    if (setUp.failed) return `its environment cannot be made: ${setUp.stderr.slice(-300)}`;
    const python = join(root, ".venv-toy", "bin", "python");
    const { stdout } = await execa(python, ["-c", versions]);
    const [port = 0] = await freePorts(1);
    const args = [
      join(root, "bench", "toy", "proxy.py"),
      "--port",
      String(port),
      "--prefiller-ports",
      ...prefillPorts.map(String),
      "--decoder-ports",
      ...decodePorts.map(String),
    ];
    const program = await startProgram({ name: "toy", command: python, args, dir, port });
    return { port, ...program, version: stdout.trim() };
  },
};

const versions =
  "import fastapi, httpx, platform, uvicorn; print(f'Python {platform.python_version()}, FastAPI {fastapi.__version__}, uvicorn {uvicorn.__version__}, httpx {httpx.__version__}')";
