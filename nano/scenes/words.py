"""What is written in pictures: words, names, numbers, prices, dates."""

from __future__ import annotations

from random import Random

_ENGLISH = """
able about above account across action active address advice after again agree ahead album almost alone along
already always amber anchor angle animal answer apple april arrow artist autumn award baker balance bamboo
banana basket beach beacon before begin below beside better between beyond bicycle border bottle bottom branch
brave bread breeze bridge bright bring broad brother bucket budget build butter button cabin camera candle
canvas carbon career castle center chance change charge cheap cherry choice circle city clean clear clever
climate clock cloud coast coffee color common copper corner cotton country couple course cover cream create
credit crystal culture current dance danger daily daughter debate decide deliver design desert detail dinner
direct doctor dollar door double dozen dragon drawer dream drink driver eagle early earth eastern editor
effort eight either electric empty energy engine enjoy enough entry equal escape evening event every exact
example exit expert extra fabric factory family famous farmer father feather fence field final finger finish
flavor flight floor flower follow forest forget formal fourth frame fresh friend frozen future gallery garden
gather gentle ginger giant glass global golden grain grand granite grape gravity great green ground group
guard guest guide guitar habit hammer handle happy harbor harvest hazel health heart heavy height helmet
hidden honest honey horizon hotel house human hundred hunter image island ivory jacket jungle junior justice
kernel kettle kitchen knight ladder lagoon lantern large laser later leader leaf learn leather legend lemon
letter level library light linen liquid little local logic lucky lumber magnet major manner maple marble
margin market master matter meadow medal melody member memory mercury metal method middle minute mirror mobile
model modern moment monday monkey month morning mother motor mountain music narrow nation native nature needle
never night noble north notice novel number object ocean office often olive onion open orange orbit order
organ origin other output oxygen paint palace panel paper parade parent parrot partner pattern people pepper
perfect period person phone photo piano picnic pilot planet plate please pocket poem point polite pond popular
powder power present pretty price prince print prize proof public pulse puzzle quartz queen quick quiet rabbit
radio rain random rapid reader reason record region remote repair report rescue result return ribbon ridge
river road robin rocket round royal saddle safety salad salmon sample sand scale school science season second
secret select senior seven shadow sharp shelter shine short shoulder signal silent silver simple single sister
sketch sleep slow small smart smile smooth social soft solar south space speed spirit spring square stable
staff stage station stone storm story street strong studio summer sunset supply table target teacher temple
thunder ticket tiger timber today tomato tower town trade train travel treaty tulip tunnel turtle twelve union
unique upper urban useful valley value velvet vessel village violet vision visit voice volume voyage wagon
walnut warm water weather weight western whale wheel white willow window winter wisdom wonder wood world
writer yellow young zebra zero
"""
ENGLISH = tuple(_ENGLISH.split())
SHOPS = ("Corner Store", "Green Market", "City Books", "Blue Cafe", "Sun Bakery", "Hill Grocers", "Tech Point",
         "Garden Shop", "Star Diner", "Old Mill", "River Deli", "North Foods", "Fresh Co", "Daily Mart")  # fmt: skip
GOODS = ("Coffee", "Tea", "Bread", "Milk", "Apples", "Cheese", "Butter", "Rice", "Juice", "Water", "Soup", "Salad",
         "Cake", "Eggs", "Pasta", "Honey", "Soap", "Pen", "Book", "Lamp", "Socks", "Candle", "Sugar", "Pizza",
         "Lemon", "Onions", "Grapes", "Yogurt", "Cookies", "Batteries")  # fmt: skip
FIRST_NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Ida", "Jack", "Kira", "Leo",
               "Maria", "Noah", "Olga", "Paul", "Rosa", "Sam", "Tina", "Victor", "Wendy", "Yusuf")  # fmt: skip
LAST_NAMES = ("Adams", "Baker", "Clark", "Diaz", "Evans", "Fisher", "Garcia", "Hughes", "Ivanov", "Jones", "Kim",
              "Lopez", "Moore", "Novak", "Owens", "Patel", "Quinn", "Reed", "Silva", "Turner", "Weber")  # fmt: skip
CITIES = ("London", "Paris", "Rome", "Berlin", "Madrid", "Oslo", "Lima", "Cairo", "Delhi", "Tokyo", "Boston",
          "Dublin", "Vienna", "Prague", "Athens", "Lisbon", "Sydney", "Nairobi", "Denver", "Geneva")  # fmt: skip
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
TOPICS = ("Sales", "Rainfall", "Visitors", "Exports", "Profit", "Energy", "Budget", "Score", "Orders", "Traffic",
          "Output", "Costs", "Income", "Votes", "Weight", "Stock")  # fmt: skip
# All of these but "May", which is a word too.
WRITTEN = SHOPS + GOODS + FIRST_NAMES + LAST_NAMES + CITIES + MONTHS[:4] + MONTHS[5:] + TOPICS

_ONSETS = (*"bcdfghjklmnprstvwzy", "br", "cl", "dr", "fl", "gr", "pl", "st", "tr", "sh", "ch", "qu")
_VOWELS = (*"aeiouaeio", "ai", "ee", "oo", "ou")
_CODAS = ("", "", "", *"nrstlmx", "ck", "nd", "rt")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def invent_word(rng: Random, least: int = 3, most: int = 10) -> str:
    """A word in some capitals: English, pronounceable, or plain letters, so that reading cannot be guessing."""
    kind = rng.random()
    length = rng.randint(least, most)
    if kind < 0.35:
        word = rng.choice(ENGLISH)
        while not least <= len(word) <= most:
            word = rng.choice(ENGLISH)
    elif kind < 0.75:
        word = ""
        while len(word) < length:
            word += rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS)
        word = word[:length]
    else:
        word = "".join(rng.choices(_LETTERS, k=length))
    case = rng.random()
    return word if case < 0.35 else word.capitalize() if case < 0.65 else word.upper()


def invent_number(rng: Random, most_digits: int = 5) -> str:
    digits = rng.randint(1, most_digits)
    return str(rng.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits))


def invent_price(rng: Random, dearest: int = 40) -> int:
    """Cents."""
    return rng.randint(1, dearest) * 100 + rng.choice((0, 0, 25, 49, 50, 75, 90, 95, 99, rng.randrange(100)))


def write_price(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def invent_date(rng: Random) -> str:
    return f"{rng.randint(1, 28)} {rng.choice(MONTHS)} {rng.randint(1990, 2029)}"


def invent_sentence(rng: Random, least: int = 3, most: int = 9) -> str:
    words: list[str] = rng.choices(ENGLISH, k=rng.randint(least, most))
    if rng.random() < 0.25:
        words[rng.randrange(len(words))] = invent_number(rng, 4)
    return " ".join((words[0].capitalize(), *words[1:])) + "."
