import numpy as np

from engines.encoders.queue import Batch, Encoding, EncodingQueue
from engines.errors import GenerationFailed
from engines.fake_encoders import FakeEmbedder
from engines.requests import EmbeddingRequest
from tests.engines.driving import run


def padded(batch: Batch[EmbeddingRequest]) -> int:
    return len(batch) * max(job.tokens[index] for job, index in batch)


def queue_of(*requests: list[int], budget: int = 256) -> EncodingQueue[EmbeddingRequest]:
    """A queue with one request for each list of text lengths."""
    queue: EncodingQueue[EmbeddingRequest] = EncodingQueue(2, budget)
    for number, lengths in enumerate(requests):
        request = EmbeddingRequest(str(number), ("text",) * len(lengths), normalize=False)
        queue.add(request, [Encoding(("", "text"), [7] * length) for length in lengths])
    return queue


def drain(queue: EncodingQueue[EmbeddingRequest], streams: int) -> list[list[Batch[EmbeddingRequest]]]:
    steps = []
    while len(queue):
        batches = queue.next_batches(streams)
        steps.append(batches)
        for batch in batches:
            queue.complete(batch, np.zeros((len(batch), 2), dtype=np.float32))
    return steps


def test_a_batch_keeps_to_the_budget_unless_one_text_is_larger() -> None:
    steps = drain(queue_of([300, 250, 20, 20, 20], [10] * 60), streams=2)
    assert all(len(batch) == 1 or padded(batch) <= 256 for batches in steps for batch in batches)


def test_a_request_is_shared_among_the_streams() -> None:
    first = queue_of([20] * 32, budget=1024).next_batches(2)
    assert [len(batch) for batch in first] == [16, 16]


def test_a_short_request_is_not_split() -> None:
    assert [len(batch) for batch in queue_of([10] * 4, budget=1024).next_batches(2)] == [4]


def test_texts_of_several_requests_share_a_batch() -> None:
    (batch,) = queue_of([10], [10], [10]).next_batches(1)
    assert {job.request.id for job, _ in batch} == {"0", "1", "2"}


def test_a_long_request_lets_a_short_one_through() -> None:
    queue = queue_of([100] * 200, [5], budget=256)
    steps = drain(queue, streams=1)
    assert any(job.request.id == "1" for batches in steps[:2] for batch in batches for job, _ in batch)


def test_texts_that_fail_fail_their_request_alone() -> None:
    requests = {name: EmbeddingRequest(name, (text, "more")) for name, text in (("a", "hola"), ("bad", "[[fail]]"))}
    outcomes = run(FakeEmbedder(), *requests.values(), EmbeddingRequest("b", ("adiós",)))
    assert outcomes["bad"].failed.error.type == GenerationFailed.type
    for name, texts in (("a", 2), ("b", 1)):
        assert len(outcomes[name].embedded.vectors) == texts
