# Node for the worker, the proxy and the simulated engine; Python with Ray for the agent. Debian: Temporal's native part needs glibc.
FROM node:22-bookworm
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/pdjob
COPY agent/requirements.txt agent/
RUN python3 -m venv .venv && .venv/bin/pip install --no-cache-dir --require-hashes -r agent/requirements.txt
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN node scripts/build.mjs
ENV PATH=/opt/pdjob/bin:/opt/pdjob/.venv/bin:$PATH
