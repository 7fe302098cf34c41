"""How people ask about things: wordings as in `nano.phrasings`, which holds them all."""

from __future__ import annotations

_IMAGE = "{image|picture}"
_IN = "{in the {image|picture}|in this {image|picture}|here|}"

THING_PHRASINGS: dict[str, tuple[str, ...]] = {
    "thing_name": (
        f"What is {{this|that|shown {_IN}}}?",
        f"What {{object|thing}} is {{this|shown|{_IN}}}?",
        f"{{What|Which thing}} {{do you see|can you see}}{{ {_IN}|}}?",
        f"{{Name|Tell me the name of}} {{the|this}} {{object|thing}}{{ {_IN}|}}.",
        "What {do you call|is the name of} this?",
        f"Do you know what this is{{ {_IN}|}}?",
    ),
    "thing_kind": (
        "What {kind|sort|type} of thing is {the |}[what]?",
        "{Which|What} {group|class|category} does {the |}[what] belong to?",
        "Is {the |}[what] [one] or [other]?",
        "{Tell me|Say} what {kind|sort} of thing {the |}[what] is.",
        "{The |}[what]: what {kind|sort|type} of thing is it?",
    ),
    "thing_is_kind": (
        "Is {the |}[what] [one]?",
        "{Do|Would} you call {the |}[what] [one]?",
        "Is it true that {the |}[what] is [one]?",
        "{The |}[what] is [one], {right|true|correct}?",
        f"Does {{the|this}} {_IMAGE} show that {{the |}}[what] is [one]?",
    ),
    "thing_odd": (
        f"{{Which|What}} {{thing|object|one}} does not belong{{ {_IN}|}}?",
        f"What is the odd one out{{ {_IN}|}}?",
        "{Which|What} {thing|object} does not fit{ with the others|}?",
        "{Find|Name|Tell me} the odd one out.",
        "{Which|What} {thing|object|one} is different from the others?",
        "{Which|What} {thing|one} is not [one]?",
    ),
    "thing_purpose": (
        "What is {the |}[what] {for|good for|used for}?",
        "What do you {do with|know about} {the |}[what]?",
        "What {use|purpose} does {the |}[what] have?",
        "{Tell me|Say} {something|one thing} about {the |}[what].",
        "{Explain|Tell me} what {the |}[what] is for.",
    ),
    "thing_which": (
        f"{{Which|What}} [many] {{are there|do you see|can you see}}{{ {_IN}|}}?",
        f"{{Name|List}} {{all |}}{{the |}}[many]{{ {_IN}|}}.",
        f"{{Tell me|Say}} which [many] {{there are|you see}}{{ {_IN}|}}.",
        f"What [many] does {{the|this}} {_IMAGE} {{show|have|contain}}?",
    ),
}
