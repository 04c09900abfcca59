"""A request through a pair of engines, as a proxy sends it: prefill, then decode with what prefill answered.

It leaves from the decode engine's node, so that it takes the way that KV takes, and needs no proxy.
Its stages, in order: reach, model, prefill, decode, kv.
"""

import secrets
import time

from .engine_http import Engine, Failed, Json, Unasked, as_object

# More than a block or two, and never the same twice: no cache can stand in for a transfer.
WORDS = 32
DECODE_TOKENS = 2
# An engine counts a prompt a moment after it has answered.
COUNTED_WITHIN_S = 1.0
POLL_S = 0.05
KEEP_FOR_DECODE = {
    "do_remote_decode": True,
    "do_remote_prefill": False,
    "remote_engine_id": None,
    "remote_block_ids": None,
    "remote_host": None,
    "remote_port": None,
}


def send_canary(asked: Json, here: str) -> Json:
    """`{passed, note?}`, or `{passed: false, stage, how, message}`. Takes `timeoutS` at most."""
    until = time.monotonic() + asked["timeoutS"]
    prefill = Engine("prefill", asked["prefill"], here, until)
    decode = Engine("decode", asked["decode"], here, until)
    try:
        _go(asked, prefill, decode)
    except Failed as failure:
        return {"passed": False, **failure.facts}
    except Unasked as why:
        return {"passed": True, "note": str(why)}
    return {"passed": True}


def _go(asked: Json, prefill: Engine, decode: Engine) -> None:
    model = asked.get("model")
    listed = [engine.check_model(model) for engine in (prefill, decode)]
    hand_over = asked["handOver"]
    if hand_over == "models":
        return
    name = model or listed[0]
    prompt = " ".join(secrets.token_hex(3) for _ in range(WORDS))
    body: Json = {"prompt": prompt, "temperature": 0, "stream": False, **({"model": name} if name else {})}
    relays = hand_over in ("params", "any")
    first = prefill.complete({**body, "max_tokens": 1, **({"kv_transfer_params": KEEP_FOR_DECODE} if relays else {})})
    params = first.get("kv_transfer_params") if relays else None
    if hand_over == "params" and not params:
        text = f"{prefill.title} answered without kv_transfer_params, so it keeps no KV for decode"
        raise Failed("prefill", "wrong", text)
    before = decode.tokens_by_source()
    body["max_tokens"] = DECODE_TOKENS
    try:
        answer = decode.complete({**body, **({"kv_transfer_params": params} if params else {})})
    except Failed as failure:
        if params and answers_alone(decode, body):
            text = f"{failure}, although it answers the same prompt without the KV that prefill offers"
            raise Failed("kv", failure.facts["how"], text) from failure
        raise
    if hand_over == "params":
        _check_kv(decode, before, as_object(answer.get("usage")).get("prompt_tokens"))


def answers_alone(decode: Engine, body: Json) -> bool:
    try:
        decode.complete(body)
    except (Failed, Unasked):
        return False
    return True


def _check_kv(decode: Engine, before: dict[str, float] | None, tokens: int | None) -> None:
    """
    By the decode engine's own count. Those of others may be in it: that some came by transfer says nothing then, but
    that none did says it of this one too.
    """
    until = time.monotonic() + COUNTED_WITHIN_S
    while before is not None and tokens:
        after = decode.tokens_by_source()
        if after is None:
            return
        counted = {source: count - before.get(source, 0) for source, count in after.items()}
        if counted.get("external_kv_transfer", 0) > 0:
            return
        if sum(counted.values()) >= tokens:
            text = f"{decode.title} answered, but computed the {tokens} tokens of the prompt itself"
            raise Failed("kv", "wrong", text)
        if time.monotonic() > until:
            return
        time.sleep(POLL_S)
