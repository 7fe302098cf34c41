"""Questions about receipts, forms and tables."""

from __future__ import annotations

from random import Random

from nano.phrasings import phrase
from nano.scenes.scene import Scene
from nano.tasks.reading import locate, quote
from nano.tasks.turn import Turn

# ---- receipts ----------------------------------------------------------------------------------------------


def ask_total(scene: Scene, rng: Random) -> Turn | None:
    if scene.variety != "receipt":
        return None
    total = scene.facts["total"]
    if rng.random() < 0.3:
        return locate(scene, rng, "the total", "total", [scene.facts["boxes"]["total"]], "documents.locate_value")
    return Turn(phrase(rng, "total"), f"The total is {total}.", "documents.total", {"fact": [total]})


def ask_price(scene: Scene, rng: Random) -> Turn | None:
    if scene.variety != "receipt":
        return None
    item, price = rng.choice(list(scene.facts["items"].items()))
    if rng.random() < 0.3:
        return locate(
            scene, rng, f"the price of {item}", f"price of {item}", [scene.facts["boxes"][item]],
            "documents.locate_value",
        )  # fmt: skip
    question = phrase(rng, "price", item=item if rng.random() < 0.6 else item.lower())
    return Turn(question, f"{item} costs {price}.", "documents.price", {"fact": [price]})


def ask_receipt(scene: Scene, rng: Random) -> Turn | None:
    if scene.variety != "receipt":
        return None
    items: dict[str, str] = scene.facts["items"]
    match rng.choice(("shop", "date", "dearest", "items")):
        case "shop" if scene.facts.get("shop"):
            shop = scene.facts["shop"]
            return Turn(phrase(rng, "shop"), f"The shop is {quote(shop)}.", "documents.shop", {"text": shop})
        case "date" if scene.facts.get("date"):
            date = scene.facts["date"]
            return Turn(phrase(rng, "date"), f"The date is {quote(date)}.", "documents.date", {"text": date})
        case "dearest" if len(items) > 1:
            prices = sorted(items, key=lambda item: float(items[item]))
            if items[prices[-1]] == items[prices[-2]]:
                return None
            answer = f"{prices[-1]} costs the most, {items[prices[-1]]}."
            return Turn(phrase(rng, "dearest"), answer, "documents.dearest", {"fact": [prices[-1]]})
        case "items":
            count = len(items)
            answer = "There is 1 item." if count == 1 else f"There are {count} items."
            return Turn(phrase(rng, "items"), answer, "documents.items", {"number": count})
    return None


# ---- forms and tables --------------------------------------------------------------------------------------


def ask_field(scene: Scene, rng: Random) -> Turn | None:
    if not scene.facts.get("fields"):
        return None
    label, value = rng.choice(list(scene.facts["fields"].items()))
    if rng.random() < 0.25:
        said = rng.choice((f"the {label}", f"the {label.lower()}", f"the value of {label}"))
        return locate(scene, rng, said, label, [scene.facts["boxes"][label]], "documents.locate_value")
    question = phrase(rng, "field", label=label if rng.random() < 0.5 else label.lower())
    answer = f"The {label.lower()} is {quote(value)}."
    return Turn(question, answer, "documents.field", {"text": value})


def ask_cell(scene: Scene, rng: Random) -> Turn | None:
    if scene.variety != "table":
        return None
    (row, column), value = rng.choice(list(scene.facts["cells"].items()))
    if rng.random() < 0.25:
        box = scene.facts["boxes"][row, column]
        return locate(scene, rng, f"the {column} of {row}", column, [box], "documents.locate_value")
    question = phrase(rng, "cell", row=row, column=column)
    return Turn(question, f"It is {value}.", "documents.cell", {"fact": [value]})


def ask_table(scene: Scene, rng: Random) -> Turn | None:
    if scene.variety != "table":
        return None
    rows, cells = scene.facts["rows"], scene.facts["cells"]
    if rng.random() < 0.35:
        count = len(rows)
        answer = "There is 1 row." if count == 1 else f"There are {count} rows."
        return Turn(phrase(rng, "rows"), answer, "documents.rows", {"number": count})
    column = rng.choice(scene.facts["columns"])
    ordered = sorted(rows, key=lambda row: int(cells[row, column]))
    if len(rows) < 2 or cells[ordered[-1], column] == cells[ordered[-2], column]:
        return None
    answer = f"{ordered[-1]} has the highest {column}, {cells[ordered[-1], column]}."
    question = phrase(rng, "column_top", column=column)
    return Turn(question, answer, "documents.column_top", {"fact": [ordered[-1]]})
