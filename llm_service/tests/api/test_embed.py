import base64

import numpy as np

from tests.api.service_process import ServiceProcess


def test_vectors_come_in_order_with_what_is_needed_to_compare_them(service: ServiceProcess) -> None:
    texts = ["hola mundo", "buenos días", "hola mundo", ""]
    body = service.client.post("/api/llm/embed", json={"texts": texts}).json()
    vectors = np.array(body["embeddings"], dtype=np.float32)
    assert vectors.shape == (4, 384)
    assert (body["dim"], body["count"], body["dtype"]) == (384, 4, "float32")
    assert np.allclose(np.linalg.norm(vectors[:3], axis=1), 1, atol=1e-5)
    assert np.array_equal(vectors[0], vectors[2])
    assert not np.allclose(vectors[0], vectors[1])
    assert body["fingerprint"] == service.health()["fingerprint"]
    assert body["truncated"] == [False] * 4
    assert len(body["tokens"]) == 4


def test_a_text_longer_than_the_model_reads_is_flagged(service: ServiceProcess) -> None:
    body = service.client.post("/api/llm/embed", json={"texts": ["hola", "palabra " * 1000]}).json()
    assert body["truncated"] == [False, True]
    assert body["tokens"][1] <= 256


def test_base64_holds_the_same_numbers(service: ServiceProcess) -> None:
    plain = service.client.post("/api/llm/embed", json={"texts": ["hola"]}).json()
    packed = service.client.post("/api/llm/embed", json={"texts": ["hola"], "encoding_format": "base64"}).json()
    decoded = np.frombuffer(base64.b64decode(packed["embeddings"][0]), dtype="<f4")
    assert np.array_equal(decoded, np.array(plain["embeddings"][0], dtype=np.float32))


def test_a_type_that_is_not_offered_is_refused(service: ServiceProcess) -> None:
    response = service.client.post("/api/llm/embed", json={"texts": ["hola"], "output_dtype": "int4"})
    assert response.status_code == 422
    assert response.json()["error"]["message"].startswith("output_dtype")
