import { external, withKv } from "./cases-connectors.ts";
import { job } from "./job.ts";
import type { Case } from "./job.ts";

const held = (variable: string): string =>
  `holds env:${variable}, which stays as it is: references are read in envs alone, and a secret would lie on the node's disk. Set ${variable} in envs to env:${variable} and have the engine read that variable, or keep a file of your own on the nodes.`;
const written = (file: string, variable: string): string =>
  `is a reference, but is written into ${file} on the node's disk, where it stays as it is: write the value itself if it is no secret, or set ${variable} to a file of your own on the nodes.`;

/** References in what is written to a node's disk. */
export const filesCases: readonly Case[] = [
  ...["token: env:TOKEN", '{"token": "env:TOKEN"}', "A=env:TOKEN # mine", "a:\n- env:TOKEN"].map(
    (text) => ({
      name: `a file that holds ${JSON.stringify(text)}`,
      text: job({ 5: `general:\n  files: {a.yaml: ${JSON.stringify(text)}}` }),
      messages: [`job.yaml:6:19 general.files["a.yaml"]: ${held("TOKEN")}`],
    }),
  ),
  {
    name: "a file of one role, in lines of its own",
    text: job({
      13: "  replicas: 2\n  files:\n    lmcache.yaml: |\n      a: 1\n      remote_url: env:URL",
    }),
    messages: [`job.yaml:15:19 decode.files["lmcache.yaml"]: ${held("URL")}`],
  },
  {
    name: "a setting of a file that pdjob writes",
    text: withKv(
      { kv_connector: "MooncakeStoreConnector" },
      { 4: "envs: {MOONCAKE_MASTER: env:MASTER}" },
    ),
    messages: [
      `job.yaml:4:25 envs.MOONCAKE_MASTER: ${written("mooncake.json", "MOONCAKE_CONFIG_PATH")}`,
    ],
  },
  {
    name: "a setting of one role's file, from another file",
    text: withKv(
      { kv_connector: "LMCacheConnectorV1" },
      { ...external, 13: "  replicas: 2\n  envs: {LMCACHE_PD_BUFFER_SIZE: file:/run/size}" },
    ),
    messages: [
      `job.yaml:14:34 decode.envs.LMCACHE_PD_BUFFER_SIZE: ${written("lmcache.yaml", "LMCACHE_CONFIG_FILE")}`,
    ],
  },
];

/** Nothing of that is to be said of these. */
export const soundFiles: readonly { readonly name: string; readonly text: string }[] = [
  {
    name: "words that only look like a reference",
    text: job({
      5: `general:\n  files: {a: "env: x\\nsee env:TOKEN there\\nurl: http://env:80/\\ntag: env:a/b"}`,
    }),
  },
  {
    name: "a reference for a file that the user brings",
    text: withKv(
      { kv_connector: "MooncakeStoreConnector" },
      { 4: "envs: {MOONCAKE_MASTER: env:MASTER, MOONCAKE_CONFIG_PATH: /etc/mooncake.json}" },
    ),
  },
];
