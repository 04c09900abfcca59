import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { addApply } from "./apply.ts";
import { addCleanup } from "./cleanup.ts";
import { addCompletion } from "./completion.ts";
import { addDev } from "./dev.ts";
import { addDoctor } from "./doctor.ts";
import { exitOf } from "./exit.ts";
import { addHistory } from "./history.ts";
import { addList } from "./list.ts";
import { addLogs } from "./logs.ts";
import { warn } from "./output.ts";
import { addAbort, addPause, addResume } from "./pause.ts";
import { addPlan } from "./plan.ts";
import { addQuickstart } from "./quickstart.ts";
import { addRestart } from "./restart.ts";
import { addScale } from "./scale.ts";
import { addStart } from "./start.ts";
import { addStatus } from "./status.ts";
import { addStop } from "./stop.ts";
import { addUndo } from "./undo.ts";
import { addValidate } from "./validate.ts";

const { version }: { readonly version: string } = JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
);

const program = new Command("pdjob-client")
  .description(
    "Deploys vLLM with prefill/decode disaggregation on Ray, as durable Temporal workflows.",
  )
  .version(version)
  .showHelpAfterError("(add --help for what this verb takes)")
  .exitOverride()
  .addHelpText(
    "after",
    "\nExit codes: 0 done, 1 failed, 2 usage or invalid config, 3 server unreachable, 4 no such job or one that has ended, 5 still under way at --timeout, 130 interrupted.\n\nFirst steps:\n  pdjob-client dev                             # in one terminal\n  pdjob-client start examples/quickstart.yaml  # in another",
  );

for (const add of [
  addStart,
  addValidate,
  addPlan,
  addStatus,
  addList,
  addScale,
  addApply,
  addHistory,
  addUndo,
  addPause,
  addResume,
  addAbort,
  addRestart,
  addLogs,
  addStop,
  addCleanup,
  addDoctor,
  addDev,
  addQuickstart,
  addCompletion,
])
  add(program);
for (const command of program.commands) command.exitOverride();

// A reader that has seen enough, as in `logs … --follow | head`, is no failure of ours.
process.stdout.on("error", ({ code, message }: NodeJS.ErrnoException) => {
  if (code === "EPIPE") process.exit(0);
  warn(`The output cannot be written: ${message}`);
  process.exit(1);
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : 2); // It has printed its message already.
  const { code, message } = exitOf(error);
  if (message) warn(message);
  process.exit(code);
}
process.exit(0);
