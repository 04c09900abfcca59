import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import type { Contender } from "../contender.ts";
import { freePorts, startProgram } from "../program.ts";

/** Debian installs it where only root looks. */
const path = `${process.env["PATH"]}:/usr/sbin`;

/** A bare reverse proxy: one hop to the decode engines, which know nothing of prefill. The least that a proxy costs. */
export const nginx: Contender = {
  name: "nginx",
  hops: 1,
  warmsUp: false,
  async start({ dir, decodePorts }) {
    const { stderr, failed } = await execa("nginx", ["-v"], { env: { PATH: path }, reject: false });
    if (failed) return "nginx is not installed (Debian: apt-get install nginx-light)";
    const [port = 0] = await freePorts(1);
    const file = join(dir, "nginx.conf");
    writeFileSync(file, configOf({ dir, port, decodePorts }));
    const args = ["-c", file, "-e", join(dir, "nginx-error.log")];
    const program = await startProgram({
      name: "nginx",
      command: "nginx",
      args,
      env: { PATH: path },
      dir,
      port,
    });
    return { port, ...program, version: stderr.replace(/.*nginx version: /s, "").trim() };
  },
};

/** As for an LLM server: nothing buffered, nothing logged, bodies in memory, connections kept. */
export const configOf = (of: {
  readonly dir: string;
  readonly port: number;
  readonly decodePorts: readonly number[];
}): string => `daemon off;
worker_processes 1;
pid ${of.dir}/nginx.pid;
error_log ${of.dir}/nginx-error.log;
events { worker_connections 8192; }
http {
  access_log off;
  keepalive_requests 100000000;
  client_max_body_size 64m;
  client_body_buffer_size 1m;
${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `  ${kind}_temp_path ${of.dir}/nginx-${kind};`).join("\n")}
  upstream engines {
${of.decodePorts.map((port) => `    server 127.0.0.1:${port};`).join("\n")}
    keepalive 512;
    keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:${of.port};
    location / {
      proxy_pass http://engines;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 600s;
    }
  }
}
`;
