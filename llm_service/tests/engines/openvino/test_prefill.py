from engines.openvino.prefill import STEP_GRAIN, Prefill, Step


def read(prefill: Prefill, generating: int = 0) -> list[tuple[str, int | None]]:
    """Return what the next steps read: whose prompt, and how many tokens from its beginning (``None``: whole)."""
    parts: list[tuple[str, int | None]] = []
    while (step := prefill.next_step(generating, part_runs=False)) != Step([], None, 0):
        parts += [(name, None) for name in step.whole]
        parts += [(step.part.request_id, len(step.part.tokens))] if step.part else []
    return parts


def test_a_long_prompt_is_read_in_whole_blocks_up_to_its_end() -> None:
    prefill = Prefill(300)
    prefill.add("a", range(1000))
    assert read(prefill) == [("a", 288), ("a", 576), ("a", 864), ("a", None)]


def test_short_ones_are_read_whole_and_together() -> None:
    prefill = Prefill(300)
    for name in ("a", "b"):
        prefill.add(name, range(100))
    assert prefill.next_step(0, part_runs=False).whole == ["a", "b"]


def test_what_an_earlier_prompt_began_with_is_not_read_again() -> None:
    prefill = Prefill(300)
    prefill.add("a", range(1000))
    read(prefill)
    prefill.add("b", [*range(900), *range(5000, 5100)])
    assert read(prefill) == [("b", None)]
    prefill.add("c", [*range(500), *range(7000, 7500)])
    assert read(prefill)[0] == ("c", 800)


def test_two_prompts_share_the_turns_between_the_oldest_and_the_shortest() -> None:
    prefill = Prefill(320)
    prefill.add("long", range(3200))
    prefill.add("medium", range(10_000, 10_640))
    assert [name for name, _ in read(prefill)][:4] == ["long", "medium", "long", "medium"]


def test_a_step_without_room_still_reads_a_block() -> None:
    prefill = Prefill(32)
    prefill.add("a", range(100))
    assert read(prefill, generating=37) == [("a", 32), ("a", 64), ("a", 96), ("a", None)]


def test_a_step_that_reads_is_filled_up_to_a_round_length() -> None:
    prefill = Prefill(300)
    prefill.add("a", range(21))
    assert prefill.next_step(2, part_runs=False).filling == -23 % STEP_GRAIN
    assert prefill.next_step(3, part_runs=False).filling == 0
