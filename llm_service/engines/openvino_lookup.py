"""Prompt lookup on OpenVINO: a second pipeline, opened when it is seen to be worth its memory."""

from engines.base import GenerationRequest
from engines.copying import CopyingRecord
from engines.openvino_lane import Answer, Lane
from engines.openvino_options import LOOKUP_NGRAM, LOOKUP_TOKENS
from engines.openvino_second_lane import SecondLane


class PromptLookup:
    """Decides which answers are generated with prompt lookup.

    OpenVINO GenAI fixes that for a whole pipeline, and one that looks up is slower for every answer
    that repeats nothing and for answers side by side (docs/decisions/0016). So there is a pipeline of
    each kind, and an answer goes to the second one when answers of its kind have been repetition and
    both its request and the one before came alone: the first of a burst would hold up the others,
    since the two pipelines take turns.
    """

    def __init__(self, second: SecondLane) -> None:
        self.second = second
        self._record = CopyingRecord(LOOKUP_TOKENS, LOOKUP_NGRAM)
        self._others_before = 1

    def lane_for(self, request: GenerationRequest, others: int) -> Lane | None:
        """Return the pipeline if it is to answer this request, which comes beside so many others."""
        alone = others == self._others_before == 0
        self._others_before = others
        if not alone or request.sampling.json_schema is not None or not self._record.worthwhile(request):
            return None
        self.second.open()
        return self.second.lane

    def observe(self, answer: Answer) -> None:
        """Learn from an answer that is complete."""
        self._record.observe(answer.request, answer.prompt_ids, answer.text.token_ids)
