"""What every engine does with texts that no chat template surrounds."""

from tests.api.service_process import ServiceProcess

TEXT = "a b c d"


def check_raw_text(service: ServiceProcess) -> None:
    """Token ids of a text come back as the text, counts agree, unknown ids are refused and end nothing."""
    client, restarts = service.client, service.health()["restarts"]
    plain = client.post("/tokenize", json={"prompt": TEXT, "add_special_tokens": False}).json()
    assert plain["count"] == len(plain["tokens"]) > 0
    assert client.post("/detokenize", json={"tokens": plain["tokens"]}).json() == {"prompt": TEXT}
    chat = {"model": "default", "messages": [{"role": "user", "content": TEXT}], "max_tokens": 1, "temperature": 0}
    counted = client.post("/tokenize", json=chat).json()["count"]
    assert client.post("/v1/chat/completions", json=chat).json()["usage"]["prompt_tokens"] == counted
    counted = client.post("/tokenize", json={"prompt": TEXT}).json()["count"]
    asked = {"model": "default", "prompt": TEXT, "max_tokens": 2, "temperature": 0}
    for stream in ({}, {"stream": True, "stream_options": {"include_usage": True}}):
        answer = client.post("/v1/completions", json=asked | stream)
        assert answer.status_code == 200, answer.text
        assert f'"prompt_tokens":{counted},"completion_tokens":2' in answer.text
    refused = client.post("/detokenize", json={"tokens": [2**31 - 1]})
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "unsupported")
    assert service.health()["restarts"] == restarts
