from engines.openvino.prefill import Prefill


def read(prefill: Prefill, room: int) -> list[tuple[str, int]]:
    """Return all parts: whose, and how many tokens from the beginning."""
    parts = []
    while (part := prefill.next_part(room)) is not None:
        parts.append((part[0], len(part[1])))
    return parts


def test_a_long_prompt_is_read_in_whole_blocks_up_to_its_end() -> None:
    prefill = Prefill()
    assert prefill.take("a", range(1000), room=300) == 1000
    assert read(prefill, 300) == [("a", 288), ("a", 576), ("a", 864), ("a", 1000)]


def test_a_short_one_is_not_taken() -> None:
    prefill = Prefill()
    assert prefill.take("a", range(300), room=300) == 300
    assert read(prefill, 300) == []


def test_what_an_earlier_prompt_began_with_is_not_read_again() -> None:
    prefill = Prefill()
    prefill.take("a", range(1000), room=300)
    read(prefill, 300)
    assert prefill.take("b", [*range(900), *range(5000, 5100)], room=300) == 100
    assert prefill.take("c", [*range(500), *range(7000, 7500)], room=300) == 500
    assert read(prefill, 300)[0] == ("c", 800)


def test_two_prompts_share_the_turns_between_the_oldest_and_the_shortest() -> None:
    prefill = Prefill()
    prefill.take("long", range(3200), room=320)
    prefill.take("medium", range(10_000, 10_640), room=320)
    assert [name for name, _ in read(prefill, 320)][:4] == ["long", "medium", "long", "medium"]


def test_a_step_without_room_still_reads_a_block() -> None:
    prefill = Prefill()
    prefill.take("a", range(100), room=32)
    assert read(prefill, -5) == [("a", 32), ("a", 64), ("a", 96), ("a", 100)]
