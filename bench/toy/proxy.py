"""A stand-in of vLLM's toy proxy for prefill and decode.

Written anew from what that one is known to do (FastAPI on uvicorn, httpx with an unlimited pool, round robin, JSON both
ways, an access log, one request id on both legs), so that it costs what the original costs. Not for serving anybody.
"""

import argparse
import itertools
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--prefiller-ports", type=int, nargs="+", required=True)
    parser.add_argument("--decoder-ports", type=int, nargs="+", required=True)
    return parser.parse_args()


arguments = read_arguments()


def client_of(port: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}/v1",
        timeout=None,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
    )


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    prefills = [client_of(port) for port in arguments.prefiller_ports]
    decodes = [client_of(port) for port in arguments.decoder_ports]
    app.state.prefills = itertools.cycle(prefills)
    app.state.decodes = itertools.cycle(decodes)
    yield
    for client in [*prefills, *decodes]:
        await client.aclose()


app = FastAPI(lifespan=lifespan)


def headers_of(request_id: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY')}",
        "X-Request-Id": request_id,
    }


async def prefill(path: str, body: dict, request_id: str) -> dict:
    body = {
        **body,
        "kv_transfer_params": {
            "do_remote_decode": True,
            "do_remote_prefill": False,
            "remote_engine_id": None,
            "remote_block_ids": None,
            "remote_host": None,
            "remote_port": None,
        },
        "stream": False,
        "max_tokens": 1,
    }
    if "max_completion_tokens" in body:
        body["max_completion_tokens"] = 1
    body.pop("stream_options", None)
    client = next(app.state.prefills)
    response = await client.post(path, json=body, headers=headers_of(request_id))
    response.raise_for_status()
    answer = response.json()
    await response.aclose()
    return answer


async def decode(path: str, body: dict, request_id: str) -> AsyncIterator[bytes]:
    client = next(app.state.decodes)
    sent = client.stream("POST", path, json=body, headers=headers_of(request_id))
    async with sent as response:
        response.raise_for_status()
        async for piece in response.aiter_bytes():
            yield piece


async def relay(path: str, request: Request) -> StreamingResponse:
    body = await request.json()
    request_id = str(uuid.uuid4())
    answer = await prefill(path, body, request_id)
    if answer.get("kv_transfer_params"):
        body["kv_transfer_params"] = answer["kv_transfer_params"]

    async def pieces() -> AsyncIterator[bytes]:
        async for piece in decode(path, body, request_id):
            yield piece

    return StreamingResponse(pieces(), media_type="application/json")


@app.post("/v1/completions")
async def completions(request: Request) -> StreamingResponse:
    return await relay("/completions", request)


@app.post("/v1/chat/completions")
async def chat_completions(request: Request) -> StreamingResponse:
    return await relay("/chat/completions", request)


if __name__ == "__main__":
    # Whoever measures ends streams by leaving; nothing else is to be waited for.
    uvicorn.run(
        app,
        host=arguments.host,
        port=arguments.port,
        timeout_graceful_shutdown=1,
    )
