// A stand-in for an external P/D proxy, with host and port lists as flags: prefill leg, then decode leg, round robin.
import { createServer } from "node:http";

const lists = {
  "prefiller-hosts": [],
  "prefiller-ports": [],
  "decoder-hosts": [],
  "decoder-ports": [],
};
let port = 8000;
let current;
for (const word of process.argv.slice(2)) {
  if (word.startsWith("--")) current = word.slice(2);
  else if (current === "port") port = Number(word);
  else if (lists[current]) lists[current].push(word);
  else throw new Error(`unknown flag --${current}`);
}
const urls = (role) =>
  lists[`${role}-hosts`].map((host, index) => `http://${host}:${lists[`${role}-ports`][index]}`);
const prefills = urls("prefiller");
const decodes = urls("decoder");
let turn = 0;

const post = (url, body) =>
  fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = JSON.parse(Buffer.concat(parts).toString() || "{}");
  turn += 1;
  const first = await post(prefills[turn % prefills.length] + request.url, {
    ...body,
    max_tokens: 1,
    stream: false,
    kv_transfer_params: { do_remote_decode: true },
  });
  const { kv_transfer_params: kv } = await first.json();
  const second = await post(decodes[turn % decodes.length] + request.url, {
    ...body,
    kv_transfer_params: kv,
  });
  response.writeHead(second.status, { "content-type": second.headers.get("content-type") });
  response.end(Buffer.from(await second.arrayBuffer()));
}).listen(port, "0.0.0.0");
