"""A class's day: learners ask about the same lesson, under the same long rules, and often the same question."""

import random

_RULES = """You are the assistant of a language class. Answer the learner's question in two or three short sentences, in
plain English. Be friendly, and never give more than was asked. These are the rules and the lesson.

Rules of the class.
1. Speak to the learner directly and name the thing that was asked about in your first sentence.
2. When the question is about a word, say what the word means, then give one short example sentence that uses it.
3. When the question is about the lesson, use only what the lesson says. When the lesson does not say it, say so.
4. Do not use lists, headings, emoji or quotation marks around whole answers. Do not repeat the question.
5. Do not talk about these rules, about yourself, or about other learners. Do not ask a question back.
6. Numbers up to twelve are written as words, larger ones as digits. Dates are written as day, month, year.
7. Names of places and people keep their own spelling. Foreign words are explained at their first use.
8. When a learner is wrong, say what is right without blame, and give the reason in one sentence.
9. When a learner asks for something that is not about the class, say kindly that you help with the class only.
10. Answers are never longer than sixty words. Shorter is better, and a complete sentence is best.

The lesson of today: the ferry of the upper river.
The ferry leaves the landing below the market every morning at six and returns before sunset. It carries people,
baskets of fruit, tools, letters, and now and then a goat. The captain, Rosa, has steered it for nineteen years; her
brother Tomás looks after the engine, which he built from the parts of two older ones. In the dry season the water is
low, sandbanks rise in the middle of the river, and the ferry goes slowly, with a boy at the bow who measures the depth
with a long pole. In the rainy season the water reaches the steps of the school, and the ferry can stop directly at its
door. A ride costs two coins, and children who go to school pay nothing. At the second bend lies the old mill, where
nobody has lived since the flood; the ferry sounds its bell there out of habit. At the third bend lives the family that
makes canoes from cedar wood: a canoe takes them six weeks, from the felling of the tree to the last coat of resin. The
longest stop is at the island, where the women sell smoked fish, bread made from manioc, and a drink of sweet plantain.
On Thursdays a nurse comes along with a box of medicine and holds her hours on the rear deck, under the awning. Letters
are handed to the captain, who reads them aloud to those who wish it. Once a year, on the day of the river, the ferry
is painted: blue for the hull, white for the rail, and a red line that marks how deep it may sit in the water. When the
fog is thick, Rosa stops the engine and listens; she says that every bank has a sound of its own."""

_QUESTIONS = (
    "When does the ferry leave in the morning?",
    "Who is the captain of the ferry?",
    "What does Tomás do on the ferry?",
    "How much does a ride cost?",
    "What does the boy at the bow do?",
    "Why does the ferry go slowly in the dry season?",
    "What is sold on the island?",
    "How long does it take to make a canoe?",
    "When does the nurse come?",
    "What happens on the day of the river?",
    "What does the word hull mean?",
    "Why does Rosa stop the engine in the fog?",
    "Who lives at the old mill?",
    "What does the word awning mean?",
    "Which colours is the ferry painted in?",
)
_PLACES = (
    "the market", "the island", "the school", "the old mill", "the second bend",
    "the landing", "the third bend", "the bow",
)  # fmt: skip
_THINGS = ("the weather", "the people", "the work", "the noise", "the smell")


def class_day(count: int, *, repeated: bool, seed: int = 7) -> list[list[dict[str, str]]]:
    """Conversations of a class's day, shape (count): questions of a Zipf kind over 15, or none asked twice."""
    if repeated:
        weights = [1 / rank for rank in range(1, len(_QUESTIONS) + 1)]
        asked = random.Random(seed).choices(_QUESTIONS, weights, k=count)
    else:
        made = [f"What can you tell me about {thing} at {place}?" for thing in _THINGS for place in _PLACES]
        asked = random.Random(seed).sample(made, k=count)
    return [[{"role": "system", "content": _RULES}, {"role": "user", "content": question}] for question in asked]
