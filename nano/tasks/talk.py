"""Text-only turns: what nano is, what it can and cannot do, and small exercises with letters and numbers."""

from __future__ import annotations

from random import Random

from nano.phrasings import expand
from nano.scenes.words import invent_number, invent_word
from nano.tasks.about import ABOUT, ABOUT_THINGS
from nano.tasks.turn import Turn


def ask_about(rng: Random, kind: str = "", *, things: bool = False) -> Turn:
    """`things`: of a model that has learnt them."""
    kind = kind or rng.choice(list(ABOUT))
    wordings, answer = (ABOUT | ABOUT_THINGS if things else ABOUT)[kind]
    return Turn(_style(rng, expand(rng, rng.choice(wordings))), answer, f"talk.{kind}", {"fact": [answer]})


def _style(rng: Random, question: str) -> str:
    if rng.random() < 0.25 and question[-1] in "?.!":
        question = question[:-1]
    return question.lower() if rng.random() < 0.3 else question


def ask_spelling(rng: Random) -> Turn:
    """Letters as letters: what reading pictures needs, without a picture."""
    word = invent_word(rng)
    quoted = f'"{word}"'
    match rng.choice(("spell", "copy", "length", "first", "last", "contains")):
        case "spell":
            question, answer = "{Spell|Spell out} {the word |}[w].", f"It is spelled {'-'.join(word)}."
        case "copy":
            question, answer = "{Repeat|Copy|Write|Say} {the word |}[w].", f"It says {quoted}."
        case "length":
            question, answer = (
                "How many letters {are in|has|does} {the word |}[w]{ have|}?",
                f"It has {len(word)} letters.",
            )
        case "first":
            question, answer = "What is the first letter of {the word |}[w]?", f'The first letter is "{word[0]}".'
        case "last":
            question, answer = "What is the last letter of {the word |}[w]?", f'The last letter is "{word[-1]}".'
        case _:
            letter = rng.choice(word) if rng.random() < 0.5 else rng.choice("abcdefghijklmnopqrstuvwxyz")
            found = letter in word
            question = f'Does {{the word |}}[w] contain {{the letter |}}"{letter}"?'
            answer = f'{"Yes" if found else "No"}, {quoted} {"contains" if found else "does not contain"} "{letter}".'
    text = _style(rng, expand(rng, question)).replace("[w]", quoted)
    return Turn(text, answer, "talk.spelling", {"fact": [answer]})


def ask_numbers(rng: Random) -> Turn:
    one, other = int(invent_number(rng, 3)), int(invent_number(rng, 3))
    match rng.choice(("larger", "smaller", "next", "sum")):
        case "larger" if one != other:
            question = f"{{Which|What}} is {{larger|more|bigger}}, {one} or {other}?"
            answer = f"{max(one, other)} is larger than {min(one, other)}."
        case "smaller" if one != other:
            question = f"{{Which|What}} is {{smaller|less}}, {one} or {other}?"
            answer = f"{min(one, other)} is smaller than {max(one, other)}."
        case "sum":
            one, other = one % 10, other % 10
            question = f"What is {one} {{+|plus|and}} {other}?"
            answer = f"{one} and {other} is {one + other}."
        case _:
            question, answer = f"{{What|Which number}} comes after {one}?", f"After {one} comes {one + 1}."
    return Turn(_style(rng, expand(rng, question)), answer, "talk.numbers", {"fact": [answer]})


def ask_position(rng: Random) -> Turn:
    """What the numbers of a box mean, in words."""
    x, y = rng.choice((120, 500, 870)) + rng.randint(-90, 90), rng.choice((120, 500, 870)) + rng.randint(-90, 90)
    half_x, half_y = rng.randint(20, 100), rng.randint(20, 100)
    box = [max(x - half_x, 0), max(y - half_y, 0), min(x + half_x, 999), min(y + half_y, 999)]
    across = "left" if x < 333 else "right" if x > 666 else ""
    down = "top" if y < 333 else "bottom" if y > 666 else ""
    place = (
        "in the centre"
        if not across and not down
        else f"at the {down} {across}".rstrip()
        if down
        else f"on the {across}"
    )
    question = _style(
        rng, expand(rng, "{Where is|In which part of the picture is|Where do I find} {the box |}")
    ).rstrip("?")
    return Turn(f"{question} <|det|>{[box]}<|/det|>?", f"It is {place}.", "talk.position", {"fact": [place]})


def talk(rng: Random, *, things: bool = False) -> Turn:
    draw = rng.random()
    if draw < 0.45:
        return ask_about(rng, things=things)
    if draw < 0.7:
        return ask_spelling(rng)
    return ask_numbers(rng) if draw < 0.85 else ask_position(rng)
