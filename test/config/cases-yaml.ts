import { job } from "./job.ts";
import type { Case } from "./job.ts";

/** Texts that are no mapping of YAML at all. */
export const yamlCases: readonly Case[] = [
  {
    name: "an empty file",
    text: "",
    messages: [
      "job.yaml:1:1: The file describes nothing: give at least num_gpus, prefill and decode, as in examples/quickstart.yaml.",
    ],
  },
  {
    name: "only comments",
    text: "# nothing here\n# yet\n",
    messages: [
      "job.yaml:1:1: The file describes nothing: give at least num_gpus, prefill and decode, as in examples/quickstart.yaml.",
    ],
  },
  {
    name: "only a document marker",
    text: "---\n",
    messages: [
      "job.yaml:1:1: The file describes nothing: give at least num_gpus, prefill and decode, as in examples/quickstart.yaml.",
    ],
  },
  {
    name: "a list at the top",
    text: "- num_gpus: 4\n",
    messages: [
      'job.yaml:1:1: The file is a list, but a job is a mapping of keys: write lines such as "num_gpus: 16", as in examples/quickstart.yaml.',
    ],
  },
  {
    name: "prose instead of YAML",
    text: "Please start two engines\n",
    messages: [
      'job.yaml:1:1: The file is a single value, but a job is a mapping of keys: write lines such as "num_gpus: 16", as in examples/quickstart.yaml.',
    ],
  },
  {
    name: "binary data",
    text: "num_gpus: 4\nname: \u0000\u0001\u0002\n",
    messages: [
      "job.yaml:2:7: The file holds the character U+0000, which is not text: save it as YAML in UTF-8.",
    ],
  },
  {
    name: "bytes that are no UTF-8",
    text: "name: caf�\n",
    messages: [
      "job.yaml:1:10: The file holds the character U+FFFD, which is not text: save it as YAML in UTF-8.",
    ],
  },
  {
    name: "a comma that is missing in a mapping",
    text: job({ 4: "envs: {'A' 'b'}" }),
    messages: [
      "job.yaml:4:12: Not valid YAML (Missing , or colon between flow map items): check the colons, quotes and brackets on this line and the one before.",
    ],
  },
  {
    name: "a bracket too many, and not every line that follows it",
    text: job({ 4: "envs: {}}" }),
    messages: [
      "job.yaml:4:9: Not valid YAML (Unexpected flow-map-end token in YAML stream): check the colons, quotes and brackets on this line and the one before.",
    ],
  },
  {
    name: "a tab as indentation",
    text: job({ 6: "\tparams: {model: m}" }),
    messages: ["job.yaml:6:1: Not valid YAML (a tab as indentation): use spaces."],
  },
  {
    name: "a bracket that is never closed",
    text: job({ 3: "scheduler: {port: 8021" }),
    messages: [
      "job.yaml:4:1: Not valid YAML (Flow map in block collection must be sufficiently indented and end with a }): check the colons, quotes and brackets on this line and the one before.",
    ],
  },
  {
    name: "a quote that is never closed",
    text: job({ 14: '  params: {kv_transfer_config: \'{"kv_connector":"NixlConnector"}}' }),
    messages: [
      "job.yaml:15:1: Not valid YAML (Missing closing 'quote): check the colons, quotes and brackets on this line and the one before.",
    ],
  },
  {
    name: "a key without a colon",
    text: job({ 2: "gpus_per_worker 1" }),
    messages: [
      "job.yaml:2:1: Not valid YAML (text that is neither a key nor a value): put a colon and a space after each key.",
    ],
  },
  {
    name: "a key that is out of line",
    text: job({ 9: "    replicas: 2" }),
    messages: [
      "job.yaml:8:13: Not valid YAML (a mapping where a value was expected): line its keys up with the others, or put quotes around a value that contains a colon and a space.",
    ],
  },
  {
    name: "a value with a colon and a space",
    text: job({ 2: "name: a: b" }),
    messages: [
      "job.yaml:2:7: Not valid YAML (a mapping where a value was expected): line its keys up with the others, or put quotes around a value that contains a colon and a space.",
    ],
  },
  {
    name: "an unknown tag",
    text: job({ 2: "name: !secret abcdef" }),
    messages: [
      "job.yaml:2:7: The tag is not known here: write the value without a tag that starts with !.",
    ],
  },
  {
    name: "several documents",
    text: "num_gpus: 4\n---\nnum_gpus: 8\n",
    messages: [
      "job.yaml:2:1: The file holds several documents: describe one job a file and remove the other ---.",
    ],
  },
  {
    name: "two syntax errors at once",
    text: job({ 3: "scheduler: [8021", 9: "\treplicas: 2" }),
    messages: [
      "job.yaml:4:1: Not valid YAML (Flow sequence in block collection must be sufficiently indented and end with a ]): check the colons, quotes and brackets on this line and the one before.",
      "job.yaml:9:1: Not valid YAML (a tab as indentation): use spaces.",
      "job.yaml:9:12: Not valid YAML (a mapping where a value was expected): line its keys up with the others, or put quotes around a value that contains a colon and a space.",
    ],
  },
  {
    name: "a duplicate key",
    text: job({ 2: "num_gpus: 8" }),
    messages: ["job.yaml:2:1 num_gpus: is given twice: remove one of them."],
  },
  {
    name: "a duplicate key in two spellings",
    text: job({ 6: "  params: {model: m, max_model_len: 1, max-model-len: 2}" }),
    messages: ["job.yaml:6:40 general.params.max_model_len: is given twice: remove one of them."],
  },
  {
    name: "an alias of nothing",
    text: job({ 4: "envs: *common" }),
    messages: [
      "job.yaml:4:7 envs: refers to *common, but no &common stands before it: define it first, or write the value here.",
    ],
  },
  {
    name: "an alias inside itself",
    text: job({ 4: "envs: &a {A: *a}" }),
    messages: [
      "job.yaml:4:14: The file nests lists or mappings more than 40 deep, or an alias contains itself: flatten it.",
    ],
  },
  {
    name: "a merge of something that is no mapping",
    text: job({ 4: "envs: {<<: text}" }),
    messages: [
      'job.yaml:4:12 envs["<<"]: merges something that is not a mapping: use an alias of a mapping, such as <<: *defaults.',
    ],
  },
  {
    name: "a key that is no text",
    text: job({ 4: "envs: {[a, b]: 1}" }),
    messages: ["job.yaml:4:8 envs: has a key that is not text: write a name before the colon."],
  },
  {
    name: "the key __proto__",
    text: job({ 4: "envs: {__proto__: 1}" }),
    messages: ["job.yaml:4:8 envs.__proto__: cannot be used as a key: remove it."],
  },
  {
    name: "a number that is not finite",
    text: job({ 1: "num_gpus: .inf" }),
    messages: [
      "job.yaml:1:11 num_gpus: is not a number that can be passed on: write a finite one, or put it in quotes.",
    ],
  },
];
