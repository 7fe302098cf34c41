"""How people ask: many phrasings of each kind of question, from one small grammar.

`{a|b|}` chooses one alternative (the last one here is nothing), `[slot]` is filled in. The wording is changed
in case, and the final mark is left out at times, before slots are filled, so that words to be read stay as
they are.
"""

from __future__ import annotations

import re
from random import Random

from nano.things.phrasings import THING_PHRASINGS

_IMAGE = "{image|picture}"
_IN = "{in the {image|picture}|in this {image|picture}|here|}"

PHRASINGS: dict[str, tuple[str, ...]] = {
    # ---- captions ------------------------------------------------------------------------------------------
    "caption": (
        f"{{Please |Can you |}}describe {{the|this}} {_IMAGE}{{ in detail| in a sentence|}}.",
        f"What {{is|can you see}} in {{the|this}} {_IMAGE}?",
        f"What does {{the|this}} {_IMAGE} show?",
        f"{{Give|Write}} a {{caption|description}} {{of|for}} {{the|this}} {_IMAGE}.",
        f"{{Tell me|Say}} what {{the|this}} {_IMAGE} shows.",
        "What do you see{ here|}?",
    ),
    # ---- shapes --------------------------------------------------------------------------------------------
    "shape": (
        f"What {{shape|kind of shape|}} is the [what]{{ {_IN}|}}?",
        "{Which|What} shape does the [what] have?",
        "Name the shape of the [what].",
        "{Tell me|Say} what shape the [what] is.",
        "The [what]: what {shape|kind of shape} is it?",
    ),
    "only": (
        f"What {{is the object|shape is}} {_IN}?",
        "{Which|What} shape {is this|do you see|is shown}?",
        f"What is the only {{object|shape}} {_IN}?",
        "Name the {object|shape}.",
    ),
    "colour": (
        f"{{What|Which}} {{colour|color}} is {{the |}}[what]{{ {_IN}|}}?",
        "{What|Which} {colour|color} does {the |}[what] have?",
        "{Name|Give|Tell me} the {colour|color} of {the |}[what].",
        "What is the {colour|color} of {the |}[what]?",
        "{Tell me|Say} what {colour|color} the [what] is.",
    ),
    "count": (
        f"How many [what] are {{there|{_IN}}}?",
        "How many [what] {do you see|can you see|can you find}?",
        f"Count {{the |all |}}[what]{{ {_IN}|}}.",
        f"What is the number of [what]{{ {_IN}|}}?",
        "{Give|Tell me} the number of [what].",
    ),
    "where": (
        f"Where is {{the |}}[what]{{ {_IN}|}}?",
        f"In which part of the {_IMAGE} is {{the |}}[what]?",
        "{Whereabouts|In what place} is {the |}[what]?",
        f"{{Tell me|Say}} where {{the |}}[what] is{{ {_IN}|}}.",
        "Which {corner|side|part} is {the |}[what] in?",
    ),
    "side": (
        "Is {the |}[one] {left or right|to the left or to the right} of {the |}[other]?",
        "{On which|Which} side of {the |}[other] is {the |}[one], left or right?",
        "Is {the |}[one] on the left or {on |}the right of {the |}[other]?",
        "{Tell me|Say} whether {the |}[one] is left or right of {the |}[other].",
    ),
    "height": (
        "Is {the |}[one] above or below {the |}[other]?",
        "Is {the |}[one] {higher or lower|further up or further down} than {the |}[other]?",
        "{Tell me|Say} whether {the |}[one] is above or below {the |}[other].",
        "{The |}[one]: is it above or below {the |}[other]?",
    ),
    "is_side": (
        f"Is {{the |}}[one] [side] {{the |}}[other]{{ {_IN}|}}?",
        "Do you see {the |}[one] [side] {the |}[other]?",
        "Is it true that {the |}[one] is [side] {the |}[other]?",
        "{The |}[one] is [side] {the |}[other], {right|true|correct}?",
    ),
    "exists": (
        f"Is there [what]{{ {_IN}|}}?",
        f"{{Do|Can}} you see [what]{{ {_IN}|}}?",
        f"Does {{the|this}} {_IMAGE} {{have|contain|show}} [what]?",
        f"Is [what] {{visible|present|shown}}{{ {_IN}|}}?",
    ),
    "is_colour": (
        f"Is {{the |}}[what] [colour]{{ {_IN}|}}?",
        "Does {the |}[what] have the {colour|color} [colour]?",
        "Is the {colour|color} of {the |}[what] [colour]?",
        "Is it true that {the |}[what] is [colour]?",
        "{The |}[what] is [colour], {right|true|correct}?",
    ),
    "largest": (
        f"{{What|Which}} is the {{largest|biggest}} {{object|shape|thing}}{{ {_IN}|}}?",
        "{Which|What} {object|shape|thing} is {largest|biggest|the largest|the biggest}?",
        f"Name the {{largest|biggest}} {{object|shape}}{{ {_IN}|}}.",
    ),
    "smallest": (
        f"{{What|Which}} is the {{smallest|tiniest}} {{object|shape|thing}}{{ {_IN}|}}?",
        "{Which|What} {object|shape|thing} is {smallest|the smallest|tiniest}?",
        f"Name the {{smallest|tiniest}} {{object|shape}}{{ {_IN}|}}.",
    ),
    "filled": (
        "Is {the |}[what] {filled or outlined|filled or only an outline|filled or empty}?",
        "{Tell me|Say} whether {the |}[what] is filled or outlined.",
        "Is {the |}[what] outlined or filled?",
        "{The |}[what]: {is it |}filled or outlined?",
    ),
    "background": (
        f"{{What|Which}} {{colour|color}} is the background{{ of the {_IMAGE}|}}?",
        "What is the {colour|color} of the background?",
        "{What|Which} {colour|color} does the background have?",
        "{Name|Give|Tell me} the background {colour|color}.",
        "What background {colour|color} is {there|this|used}?",
    ),
    "colours": (
        f"{{Which|What}} {{colours|colors}} {{are there|do you see|do the {{shapes|objects}} have}}{{ {_IN}|}}?",
        "{List|Name} the {colours|colors} of the {shapes|objects}.",
        "What {colours|colors} are the {shapes|objects}?",
    ),
    "written": (
        "What is {written|printed} on {the |}[what]?",
        "{Which|What} {letter or number|character} is on {the |}[what]?",
        "What does {the |}[what] say?",
        "Read {what is |}{the text |}on {the |}[what].",
    ),
    "beside": (
        "{What|Which object} is [side] {the |}[what]?",
        "{What|Which object} do you see [side] {the |}[what]?",
        "{Name|Tell me} {what is|the object} [side] {the |}[what].",
    ),
    # ---- grounding -----------------------------------------------------------------------------------------
    "locate": (
        # The released models' own prompt, and the app's.
        "<|ref|>[what]<|/ref|>.",
        "<|ref|>[what]<|/ref|>.",
        "<|ref|>[what]<|/ref|>.",
        "<|ref|>[what]<|/ref|>",
        f"Locate <|ref|>[what]<|/ref|>{{ in the given image| in the {_IMAGE}|}}.",
        f"{{Find|Detect|Show|Mark|Point out}} <|ref|>[what]<|/ref|>{{ {_IN}|}}.",
        "{Draw|Put} a box around <|ref|>[what]<|/ref|>.",
        "{Give|Show} {me |}the {box|boxes|bounding box|coordinates} of <|ref|>[what]<|/ref|>.",
        "Where is <|ref|>[what]<|/ref|>?",
    ),
    "locate_plainly": (
        f"{{Locate|Detect|Mark|Find}} [what]{{ {_IN}|}}.",
        "{Draw|Put} a {box|rectangle} around [what].",
        "{Give|Show} {me |}the {box|boxes|bounding box|bounding boxes|coordinates} of [what].",
        "What {is the bounding box|are the coordinates} of [what]?",
        "Box [what].",
    ),
    "grounded_caption": (
        f"<|grounding|>{{Please |Can you |}}describe {{the|this}} {_IMAGE}{{ in detail|}}.",
        f"<|grounding|>What {{is|can you see}} in {{the|this}} {_IMAGE}?",
        f"<|grounding|>What does {{the|this}} {_IMAGE} show?",
        f"<|grounding|>{{List|Name|Find}} {{all|the}} {{objects|things}}{{ {_IN}|}}.",
        "<|grounding|>What do you see{ here|}?",
    ),
    "grounded_beside": (
        "<|grounding|>{What|Which object} is [side] {the |}[what]?",
        "<|grounding|>{What|Which object} do you see [side] {the |}[what]?",
        "<|grounding|>{Find|Locate|Name} {the object|what is} [side] {the |}[what].",
    ),
    "in_box": (
        "What is {in|inside} {the box |}[box]?",
        "{Which object|What} is at [box]?",
        "{Describe|Name} {the object|what is} {in|inside|at} [box].",
        "{Tell me what|What} {the box |}[box] {shows|contains}.",
    ),
    # ---- reading -------------------------------------------------------------------------------------------
    "read_only": (
        f"{{What|Which}} {{word|text}} {{is written|is shown|do you see}}{{ {_IN}|}}?",
        f"Read the {{word|text}}{{ {_IN}|}}.",
        f"What {{is written|does it say}}{{ {_IN}|}}?",
        f"What does the {{{_IMAGE}|text|word}} say?",
        "{Tell me|Say} what {is written|it says}.",
    ),
    "read_all": (
        f"Read {{everything|all {{the |}}text|all {{the |}}words}}{{ {_IN}|}}.",
        f"What {{text|words}} {{is|are}} {{written|shown}}{{ {_IN}|}}?",
        f"{{Write down|Copy|Transcribe}} {{all {{the |}}text|everything|the text}}{{ {_IN}|}}.",
        "{OCR|Extract} {the|all} text.",
    ),
    "read_line": (
        "{Read|Copy|Transcribe} {the |}line [number].",
        "What {does|is in} {the |}line [number]{ say|}?",
        "What is {written|the text} {in|on} line [number]?",
        "{Tell me|Say} what line [number] says.",
    ),
    "read_place": (
        "{Read|Copy|Transcribe} the [place] line.",
        "What does the [place] line say?",
        "What is {written|the text} {in|on} the [place] line?",
        "{Tell me|Say} what the [place] line says.",
        "What {text|words} {is|are} in the [place] line?",
    ),
    "read_box": (
        "{Read|Copy|Transcribe} {the {word|text} in |}[box].",
        "What {does the {word|text} in [box] say|is written in [box]}?",
        "{Which|What} {word|text} is {in|at|inside} {the box |}[box]?",
        "{What is the {word|text} at|OCR} [box]?",
    ),
    "read_where": (
        "{Which|What} {word|text} is {written |}[place]?",
        "Read the {word|text} [place].",
        "What is {written|the {word|text}} [place]?",
        "What does the {word|text} [place] say?",
    ),
    "read_colour": (
        "{Which|What} {word|text} is {written |}in [colour]?",
        "Read the [colour] {word|text}.",
        "{Which|What} {word|text} is [colour]?",
        "What does the [colour] {word|text} say?",
        "What is {written|the text} in [colour]?",
    ),
    "word_colour": (
        "{What|Which} {colour|color} is {the word |}[word]?",
        "In {what|which} {colour|color} is {the word |}[word] {written|printed|shown}?",
        "{Name|Give|Tell me} the {colour|color} of {the word |}[word].",
    ),
    "word_where": (
        f"Where is {{the word |}}[word]{{ {_IN}|}}?",
        f"Where {{does it say|do you read}} [word]{{ {_IN}|}}?",
        f"In which part of the {_IMAGE} is {{the word |}}[word]?",
        "{Tell me|Say} where {the word |}[word] is.",
    ),
    "word_exists": (
        f"Is {{the word |}}[word] {{written|shown}}{{ {_IN}|}}?",
        f"{{Do|Can}} you {{see|read|find}} {{the word |}}[word]{{ {_IN}|}}?",
        f"Does {{the|this}} {_IMAGE} {{say|contain|show}} {{the word |}}[word]?",
        f"Is there the word [word]{{ {_IN}|}}?",
    ),
    "word_count": (
        f"How many {{words|words and numbers}} are {{there|written}}{{ {_IN}|}}?",
        "How many {words|words and numbers} {do you see|can you read|can you see}?",
        f"Count the words{{ {_IN}|}}.",
        f"What is the number of words{{ {_IN}|}}?",
    ),
    "title": (
        "What is the {title|heading}{ of the {page|document|picture|image}|}?",
        "{Read|Copy|Give me|Tell me} the {title|heading}.",
        "What does the {title|heading} say?",
        "{Which|What} {title|heading} {is there|do you see|does it have}?",
    ),
    # ---- receipts, forms, tables
    # -------------------------------------------------------------------------------
    "total": (
        "What is the total{ amount| price| sum|}{ on the receipt|}?",
        "How much {is it|does it cost|was paid|is the total} {in total|altogether|}?",
        "{Read|Give me|Tell me} the total{ amount|}.",
        "What {does everything cost|is the sum}?",
    ),
    "price": (
        "{How much|What} {does|did} {the |}[item] cost?",
        "What is the price of {the |}[item]?",
        "How much {is|was} {the |}[item]?",
        "{Give me|Tell me} the price of {the |}[item].",
    ),
    "shop": (
        "{What|Which} is the {name of the |}{shop|store}?",
        "{Which|What} {shop|store} is {this receipt from|it}?",
        "{Where|In which {shop|store}} was {this|it} bought?",
        "{Read|Give me|Tell me} the name of the {shop|store}.",
    ),
    "date": (
        "What is the date{ on the receipt|}?",
        "{When|On which {day|date}} was {this|it} bought?",
        "{Which|What} date {is on the receipt|is written|do you see}?",
        "{Read|Give me|Tell me} the date.",
    ),
    "dearest": (
        "{What|Which item} {is|was} {the |}most expensive{ item|}?",
        "{What|Which item} {costs|cost} {the |}most?",
        "Which is the {dearest|most expensive} {item|thing}?",
        "{Name|Tell me} the most expensive item.",
    ),
    "items": (
        "How many items are {there|on the receipt|listed}?",
        "How many {things|items|different items} {were bought|were paid for|does it list}?",
        "Count the items{ on the receipt|}.",
        "What is the number of items?",
    ),
    "field": (
        "What is the [label]{ {on the form|in the form}|}?",
        "{Read|Give me|Tell me} the [label].",
        "What does {it|the form} say {for|under|next to} [label]?",
        "{Which|What} [label] is {given|written|entered}?",
        "What is {written|entered} {for|next to} [label]?",
    ),
    "cell": (
        "What is {the |}[column] {of|for} [row]?",
        "What {value|number} is in {the |}row [row]{,|} {and |}column [column]?",
        "{Read|Give me|Tell me} {the |}[column] {of|for} [row].",
        "{In the table, what|What} is the [column] value {of|for} [row]?",
    ),
    "column_top": (
        "{Which|What} row has the {highest|largest|greatest} [column]?",
        "Who or what has the {highest|largest|greatest} [column]?",
        "{Where|In which row} is {the |}[column] {highest|largest}?",
        "{Name|Tell me} the row with the {highest|largest} [column].",
    ),
    "rows": (
        "How many rows {are there|does the table have}{, {without|not counting} the {heading|header}|}?",
        "Count the rows{ of the table|}.",
        "What is the number of rows{ in the table|}?",
        "How many rows {do you see|can you see|of data are there}?",
    ),
    # ---- charts --------------------------------------------------------------------------------------------
    "chart_title": (
        "What is the title{ of the {chart|graph|plot}|}?",
        "{Read|Copy|Give me|Tell me} the title{ of the {chart|graph}|}.",
        "What {is the {chart|graph} called|does the title say}?",
        "What {is|does} the {chart|graph} {about|show}?",
    ),
    "value": (
        "What is the value {of|for} [name]?",
        "{Which|What} value does [name] have?",
        "How {much|large|high} is [name]?",
        "{Read|Give me|Tell me} the value {of|for} [name].",
        "What {number|value} {does the chart show|is shown} for [name]?",
    ),
    "highest": (
        "{Which|What} [part] is {the |}{tallest|highest|largest|biggest}?",
        "{Which|What} has the {highest|largest|greatest|biggest} value?",
        "{Name|Tell me} the {tallest|highest|largest} [part].",
        "What is the label of the {tallest|highest|largest} [part]?",
    ),
    "highest_value": (
        "What is the {highest|largest|greatest} value?",
        "{Which|What} value does the {tallest|highest|largest} [part] have?",
        "What is the value of the {tallest|highest|largest} [part]?",
        "{Read|Give me|Tell me} the {highest|largest} value.",
    ),
    "lowest": (
        "{Which|What} [part] is {the |}{shortest|lowest|smallest}?",
        "{Which|What} has the {lowest|smallest|least} value?",
        "{Name|Tell me} the {shortest|lowest|smallest} [part].",
        "What is the label of the {shortest|lowest|smallest} [part]?",
    ),
    "parts": (
        "How many [part]s {are there|does the {chart|graph} have|do you see}?",
        "Count {the|all} [part]s.",
        "What is the number of [part]s?",
        "How many [part]s are {in|shown in} {the|this} {chart|graph}?",
    ),
    "chart_kind": (
        "What {kind|type|sort} of {chart|graph|plot} is {this|it|shown}?",
        "{Which|What} {chart|graph} type is {this|it}?",
        "Is {this|it} a bar chart, a line chart or a pie chart?",
    ),
    "axis": (
        "What is the {label|name|title} of the [axis] axis?",
        "What does the [axis] axis {show|say|measure}?",
        "{Read|Give me|Tell me} the [axis] axis label.",
        "{Which|What} {label|text} is on the [axis] axis?",
    ),
    "more": (
        "{Which|What} is {larger|higher|more}, [one] or [other]?",
        "{Is [one] or [other]|Which of [one] and [other] is} {larger|higher}?",
        "{Which|What} has the {larger|higher} value, [one] or [other]?",
        "{Tell me|Say} which is {larger|higher}, [one] or [other].",
    ),
    "trend": (
        "Does the line {rise|go up} or {fall|go down} from [one] to [other]?",
        "Is the line {rising or falling|going up or down} from [one] to [other]?",
        "Does the value {rise or fall|go up or down} from [one] to [other]?",
        "{Tell me|Say} whether the {line|value} rises or falls from [one] to [other].",
    ),
    # ---- screens -------------------------------------------------------------------------------------------
    "window": (
        "What is the title{ of the {window|screen|page|dialog}|}?",
        "{Read|Give me|Tell me} the title{ of the {window|screen|dialog}|}.",
        "What {is the {window|screen|dialog} called|does the title {bar |}say}?",
        "{Which|What} {window|screen|dialog} is {this|open}?",
    ),
    "buttons": (
        "{Which|What} buttons {are there|do you see|does the {screen|window} have}?",
        "{List|Name|Read} {all |}the buttons.",
        "What do the buttons say?",
        "What are the names of the buttons?",
    ),
    "ticked": (
        "Is {the |}[word] {ticked|checked|selected|on}?",
        "Is {the |}{box|option|setting} [word] {ticked|checked|selected|on}?",
        "{Tell me|Say} whether [word] is {ticked|checked|on}.",
        "Has {the |}[word] been {ticked|checked|turned on|selected}?",
    ),
    "chosen": (
        "{Which|What} {option|radio button} is {selected|chosen}?",
        "{Which|What} of the options is {selected|chosen}?",
        "{Name|Read|Tell me} the {selected|chosen} option.",
        "What has been {selected|chosen}?",
    ),
    "entered": (
        "What is {written|entered|typed} in {the |}[word]{ field|}?",
        "What does {the |}[word] field {say|contain}?",
        "{Read|Give me|Tell me} the text in {the |}[word] field.",
        "{Which|What} text is in {the |}[word] field?",
    ),
    "icon": (
        "{What|Which} icon is {in|at} [box]?",
        "{What|Which} icon does [box] {show|contain}?",
        "{Name|Tell me} the icon {in|at} [box].",
        "What does the icon {in|at} [box] {show|mean}?",
    ),
    "widget_colour": (
        "{What|Which} {colour|color} is {the |}[word] button?",
        "What is the {colour|color} of {the |}[word] button?",
        "{Name|Give|Tell me} the {colour|color} of {the |}[word] button.",
        "{What|Which} {colour|color} does {the |}[word] button have?",
    ),
    # ---- later questions
    # ---------------------------------------------------------------------------------------
    "it_colour": (
        "{And what|What|Which} {colour|color} is it?",
        "What is its {colour|color}?",
        "{Its|And its} {colour|color}?",
        "{Tell me|Say|And} what {colour|color} it is.",
    ),
    "it_shape": (
        "{And what|What|Which} shape is it?",
        "What {kind of object|object|shape} is {it|that}?",
        "{Its|And its} shape?",
        "{Tell me|Say} what {shape |}it is.",
    ),
    "it_where": (
        "{And where|Where} is it?",
        "In which part {of the picture |of the image |}is it?",
        "{Tell me|Say|And} where it is.",
        "{Whereabouts|Where exactly|In what place|On which side} is it?",
    ),
    "it_box": (
        "{Find|Locate|Mark|Box|Detect} it.",
        "{Draw|Put} a box around it.",
        "{Give|Show} {me |}its {box|coordinates|bounding box}.",
        "What {is its bounding box|are its coordinates}?",
    ),
    # ---- several pictures ----------------------------------------------------------------------------------
    "which_picture": (
        f"Which {_IMAGE} {{has|shows|contains}} [what]?",
        f"In which {_IMAGE} {{is|do you see|can you see|is there}} [what]?",
        f"Which {_IMAGE} is [what] in?",
        "Which of the {images|pictures} {has|shows|contains} [what]?",
        f"{{Tell me|Say}} which {_IMAGE} {{has|shows|contains}} [what].",
    ),
    "how_many_pictures": (
        "How many {images|pictures} are there?",
        "How many {images|pictures} {do you see|did I send|can you see}?",
        "Count the {images|pictures}.",
        "What is the number of {images|pictures}?",
    ),
    "in_picture": (
        f"{{What|Which object}} is in {{the [ordinal] {_IMAGE}|{_IMAGE} [number]}}?",
        f"{{Describe|Caption}} {{the [ordinal] {_IMAGE}|{_IMAGE} [number]}}.",
        f"What {{do you see|can you see}} in {{the [ordinal] {_IMAGE}|{_IMAGE} [number]}}?",
        f"What does {{the [ordinal] {_IMAGE}|{_IMAGE} [number]}} show?",
    ),
    "count_in_picture": (
        f"How many [what] are in {{the [ordinal] {_IMAGE}|{_IMAGE} [number]}}?",
        f"How many [what] {{do you see|can you see}} in {{the [ordinal] {_IMAGE}|{_IMAGE} [number]}}?",
        f"Count the [what] in {{the [ordinal] {_IMAGE}|{_IMAGE} [number]}}.",
        f"What is the number of [what] in {{the [ordinal] {_IMAGE}|{_IMAGE} [number]}}?",
    ),
    "read_picture": (
        f"{{What|Which word}} is {{written|shown}} in {{the [ordinal] {_IMAGE}|{_IMAGE} [number]}}?",
        f"{{Read|Copy}} the {{word|text}} in {{the [ordinal] {_IMAGE}|{_IMAGE} [number]}}.",
        f"What does {{the [ordinal] {_IMAGE}|{_IMAGE} [number]}} say?",
    ),
    "difference": (
        "What {is the difference|differs|has changed}{ between the {two |}{images|pictures}|}?",
        "{Which|What} {object|thing} {is|has} {different|changed}?",
        "{Find|Name|Spot|Tell me} the difference{ between the {two |}{images|pictures}|}.",
        "How do the {two |}{images|pictures} differ?",
    ),
    "more_objects": (
        f"Which {_IMAGE} has {{more|the most}} {{objects|shapes|things}}?",
        f"In which {_IMAGE} {{are there|do you see}} {{more|the most}} {{objects|shapes|things}}?",
        f"{{Tell me|Say}} which {_IMAGE} has {{more|the most}} {{objects|shapes}}.",
    ),
    "marked": (
        "{What|Which object} is {in|inside|marked by} the red {rectangle|box}?",
        f"{{What|Which object}} is marked{{ in the first {_IMAGE}|}}?",
        "What does the red {rectangle|box} {mark|show|contain}?",
        "{Name|Tell me} the marked object.",
    ),
    "locate_in_picture": (
        f"{{Find|Locate|Detect|Mark}} <|ref|>[what]<|/ref|> in {{the [ordinal] {_IMAGE}|{_IMAGE} [number]}}.",
        f"{{Draw|Put}} a box around <|ref|>[what]<|/ref|> in {{the [ordinal] {_IMAGE}|{_IMAGE} [number]}}.",
        f"Where is <|ref|>[what]<|/ref|> in {{the [ordinal] {_IMAGE}|{_IMAGE} [number]}}?",
        f"<|ref|>[what]<|/ref|> in {{the [ordinal] {_IMAGE}|{_IMAGE} [number]}}.",
    ),
    "in_context": (
        "<|grounding|>In the first image, an object {within|inside|in} the red {rectangle|box} is marked. "
        "{Locate|Find} the object of the same {category|kind} in the second image.",
        f"<|grounding|>The first {_IMAGE} has an object in a red {{rectangle|box}}. {{Find|Locate}} the same "
        f"{{kind of |}}object in the second {_IMAGE}.",
        f"<|grounding|>{{Find|Locate|Detect|Mark}} in the second {_IMAGE} what the red {{rectangle|box}} marks in the "
        "first.",
        f"<|grounding|>{{Look at|Take}} the object in the red {{rectangle|box}}. {{Where is it|Find it}} in the second "
        f"{_IMAGE}{{?|.}}",
    ),
}
PHRASINGS |= THING_PHRASINGS

_CHOICE = re.compile(r"\{([^{}]*)\}")
_SLOT = re.compile(r"\[(\w+)\]")
# Slots whose text stands in the picture or carries special tokens: never change its case.
_VERBATIM = frozenset({"word", "box", "item", "label", "row", "column", "name", "one_name", "other_name"})


def expand(rng: Random, template: str) -> str:
    """Choose every alternative."""
    while "{" in template:
        template = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), template)
    return " ".join(template.split()).replace(" ?", "?").replace(" .", ".").replace(" ,", ",")


def phrase(rng: Random, kind: str, *, verbatim: bool = False, **slots: str) -> str:
    """A question of this kind in one of its many wordings. `verbatim` keeps the case of every slot."""
    text = expand(rng, rng.choice(PHRASINGS[kind]))
    if rng.random() < 0.22 and text[-1] in "?.":
        text = text[:-1]
    draw = rng.random()
    change = str.lower if draw < 0.3 else str.upper if draw < 0.33 else str

    def restyle(piece: str) -> str:
        return piece if piece.startswith(("<|", "[")) else change(piece)

    text = "".join(restyle(piece) for piece in re.split(r"(<\|[^|]*\|>|\[\w+\])", text))
    if draw >= 0.3:
        text = re.sub(r"^((?:<\|grounding\|>)?)([a-z])", lambda match: match[1] + match[2].upper(), text)

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        value = slots[name]
        return value if verbatim or name in _VERBATIM or draw >= 0.33 or draw < 0.3 else value.upper()

    return _SLOT.sub(fill, text)
