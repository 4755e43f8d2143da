"""Try a running LLM service: health, generation, a stream, embeddings.

    python test_service.py [--url http://localhost:8001] [--key KEY]

Exit status 1 when something is wrong. (This is a command for people, not a pytest module.)
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Callable

import httpx

QUESTION = {
    "messages": [
        {"role": "system", "content": "Eres un asistente útil."},
        {"role": "user", "content": "¿Qué es Python?"},
    ],
    "max_new_tokens": 48,
}


class CheckFailed(Exception):
    """The service answered, but not as it should."""


def expect(condition: bool, what: str) -> None:
    """Raise ``CheckFailed`` unless the condition holds."""
    if not condition:
        raise CheckFailed(what)


def check_health(client: httpx.Client) -> str:
    """The service is up and has its models."""
    response = client.get("/api/llm/health")
    body = response.json()
    expect(response.status_code == 200, f"status {response.status_code}: {body.get('status', body)}")
    expect(body["status"] in ("healthy", "degraded"), f"status is {body['status']}")
    note = f" (instead of {body['requested_model']})" if body["degraded"] else ""
    return f"{body['status']}: {body['model']}{note} on {body['backend']}, {body['device']}; {body['embedding_model']}"


def check_generate(client: httpx.Client) -> str:
    """A question is answered."""
    response = client.post("/api/llm/generate", json=QUESTION)
    expect(response.status_code == 200, f"status {response.status_code}: {response.text[:200]}")
    body = response.json()
    expect(bool(body["answer"]), "the answer is empty")
    expect(0 < body["tokens_generated"] <= QUESTION["max_new_tokens"], f"{body['tokens_generated']} tokens")
    return f"{body['tokens_generated']} tokens at {body['timings']['tokens_per_second']}/s: {body['answer'][:60]!r}…"


def check_stream(client: httpx.Client) -> str:
    """A streamed answer arrives in pieces that add up to the whole."""
    pieces: list[str] = []
    whole = None
    with client.stream("POST", "/api/llm/generate", json={**QUESTION, "stream": True}) as response:
        expect(response.status_code == 200, f"status {response.status_code}")
        done = False
        for line in response.iter_lines():
            if line == "data: [DONE]":
                done = True
            elif line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                if "delta" in event:
                    pieces.append(event["delta"])
                else:
                    whole = event
    expect(done and whole is not None, "the stream ended early")
    expect(whole is not None and "".join(pieces).strip() == whole["answer"], "the pieces do not add up to the answer")
    return f"{len(pieces)} pieces"


def check_embed(client: httpx.Client) -> str:
    """Two texts become two unit vectors."""
    response = client.post("/api/llm/embed", json={"texts": ["Hola mundo", "Buenos días"]})
    expect(response.status_code == 200, f"status {response.status_code}: {response.text[:200]}")
    body = response.json()
    expect(body["count"] == len(body["embeddings"]) == 2, "two vectors were expected")
    for vector in body["embeddings"]:
        length = math.sqrt(sum(number * number for number in vector))
        expect(len(vector) == body["dim"] and abs(length - 1) < 1e-3, "a vector is not of length 1")
    return f"{body['count']} vectors of {body['dim']} numbers, fingerprint {body['fingerprint']}"


CHECKS: dict[str, Callable[[httpx.Client], str]] = {
    "health": check_health,
    "generate": check_generate,
    "stream": check_stream,
    "embed": check_embed,
}


def main() -> int:
    """Run every check; return the exit status."""
    parser = argparse.ArgumentParser(description="Try a running LLM service.")
    parser.add_argument("--url", default=f"http://localhost:{os.environ.get('LLM_SERVICE_PORT', '8001')}")
    parser.add_argument(
        "--key", default=os.environ.get("LLM_SERVICE_API_KEY"), help="the service's API key, if it has one"
    )
    arguments = parser.parse_args()
    headers = [(b"Authorization", f"Bearer {arguments.key}".encode())] if arguments.key else []
    failed = 0
    with httpx.Client(base_url=arguments.url, headers=headers, timeout=120) as client:
        for name, check in CHECKS.items():
            try:
                print(f"ok    {name:9} {check(client)}")
            except httpx.TransportError as error:
                print(
                    f"FAIL  {name:9} {arguments.url} does not answer ({type(error).__name__}); is the service running?"
                )
                return 1
            except (CheckFailed, KeyError, ValueError) as error:
                failed += 1
                print(f"FAIL  {name:9} {error}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
