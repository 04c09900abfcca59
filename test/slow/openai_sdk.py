"""What OpenAI's SDK for Python makes of a server: one JSON object for the test that started it."""

import json
import sys

import openai

url, key, model, prompt = sys.argv[1:]
client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
messages = [{"role": "user", "content": prompt}]

whole = client.chat.completions.create(model=model, messages=messages, max_completion_tokens=7)
chunks = list(
    client.chat.completions.create(
        model=model,
        messages=messages,
        max_completion_tokens=7,
        stream=True,
        stream_options={"include_usage": True},
    )
)
completion = client.completions.create(model=model, prompt=prompt, max_tokens=7)
try:
    client.completions.create(model="another", prompt=prompt, max_tokens=7)
    refusal = "none"
except openai.NotFoundError as error:
    refusal = f"{type(error).__name__} {error.status_code}"

print(
    json.dumps(
        {
            "models": [one.id for one in client.models.list()],
            "chat": whole.choices[0].message.content,
            "finish": whole.choices[0].finish_reason,
            "streamed": "".join(one.choices[0].delta.content or "" for one in chunks if one.choices),
            "usage": chunks[-1].usage.completion_tokens,
            "completion": completion.choices[0].text,
            "refusal": refusal,
        }
    )
)
