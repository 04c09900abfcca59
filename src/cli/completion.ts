import type { Command } from "commander";
import { Exit } from "./exit.ts";
import { print } from "./output.ts";

/** Prints what a shell needs to complete verbs, their flags, and the names of jobs. */
export function addCompletion(program: Command): void {
  program
    .command("completion")
    .description("print a completion script for bash or zsh")
    .argument("<shell>", "bash or zsh")
    .addHelpText(
      "after",
      "\nExamples:\n  pdjob-client completion bash >> ~/.bashrc\n  source <(pdjob-client completion zsh)",
    )
    .action((shell: string) => {
      if (shell !== "bash" && shell !== "zsh") throw new Exit(2, `${shell}: expected bash or zsh.`);
      print(completionScript(program, shell));
    });
}

/** Answers that come late are of no use to somebody who types. */
const askTimeoutS = 3;

/** Holds for the verbs whose argument at this place is called so: only then is a server asked, and quietly. */
function takes(commands: Command["commands"], place: number, argument: string): string {
  const verbs = commands
    .filter(({ registeredArguments }) => registeredArguments[place]?.name() === argument)
    .map((command) => command.name());
  return `[[ " ${verbs.join(" ")} " == *" $verb "* ]]`;
}

function completionScript({ commands }: Command, shell: "bash" | "zsh"): string {
  const flags = commands.map((command) => {
    const names = [...command.options.map(({ long }) => long), "--help"].filter(Boolean).join(" ");
    return `      ${command.name()}) words="${names}" ;;`;
  });
  const prelude = shell === "zsh" ? ["autoload -U +X bashcompinit && bashcompinit"] : [];
  return [
    ...prelude,
    "_pdjob_client() {",
    '  local word="${COMP_WORDS[COMP_CWORD]}" verb="${COMP_WORDS[1]}" words=""',
    '  if [ "$COMP_CWORD" -eq 1 ]; then',
    `    words="${commands.map((command) => command.name()).join(" ")}"`,
    '  elif [ "${word:0:1}" = "-" ]; then',
    '    case "$verb" in',
    ...flags,
    "    esac",
    `  elif [ "$COMP_CWORD" -eq 2 ] && ${takes(commands, 0, "job")}; then`,
    `    words="$(timeout ${askTimeoutS} "\${COMP_WORDS[0]}" list 2>/dev/null | awk 'NR > 1 { print $1 }')"`,
    `  elif [ "$COMP_CWORD" -eq 3 ] && ${takes(commands, 1, "replica")}; then`,
    `    words="proxy $(timeout ${askTimeoutS} "\${COMP_WORDS[0]}" status "\${COMP_WORDS[2]}" --json 2>/dev/null | grep -oE '"name": "(prefill|decode)-[0-9]+"' | cut -d '"' -f 4)"`,
    "  fi",
    '  if [ -n "$words" ]; then COMPREPLY=($(compgen -W "$words" -- "$word"))',
    '  else COMPREPLY=($(compgen -f -- "$word")); fi',
    "}",
    "complete -F _pdjob_client pdjob-client",
  ].join("\n");
}
