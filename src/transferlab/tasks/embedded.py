"""Small data sets that the package generates itself, made so that transfer shows.

The words that carry the label differ between the training part and the test part (`SENTIMENT`, `SENSES`, `ENTITIES`
and `DECOYS` hold one list for each); everything around them is shared by both parts and by all classes, and every row
has twins with the same surroundings and the other labels. So nothing learnt about the training words alone helps on
the test part: a classifier of word counts stays at chance, an encoder that knows English does not.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Any

from transferlab.ground.errors import TransferlabError, near
from transferlab.tasks.embedded_answers import answers
from transferlab.tasks.embedded_dates import dates
from transferlab.tasks.embedded_relations import relations
from transferlab.tasks.embedded_slots import requests
from transferlab.tasks.reading.arrow import Table
from transferlab.tasks.table import TASKS

Row = tuple[Any, ...]

SIZES: dict[str, dict[str, int]] = {
    "sentences": {"train": 1500, "test": 500},
    "pairs": {"train": 2000, "test": 500},
    "entities": {"train": 1200, "test": 400},
    "topics": {"train": 1500, "test": 500},
    "relations": {"train": 1200, "test": 400},
    "answers": {"train": 1200, "test": 300},
    "dates": {"train": 4000, "test": 500},
    "slots": {"train": 1200, "test": 400},
}


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


# --- sentences ---

SENTIMENT: dict[str, dict[str, tuple[str, ...]]] = {
    "train": {
        "negative": _words("""
            terrible awful horrible bad boring poor disappointing disgusting ugly dull annoying dreary tedious nasty
            miserable pathetic ridiculous stupid useless worthless painful frustrating irritating unpleasant depressing
            sloppy shoddy clumsy messy filthy rude hostile cruel lifeless hopeless pointless bland forgettable mediocre
            offensive unbearable weak confusing repulsive grim disastrous dishonest overpriced laughable exhausting
        """),
        "positive": _words("""
            wonderful excellent amazing fantastic lovely delightful brilliant great good beautiful perfect charming
            pleasant enjoyable impressive outstanding remarkable fabulous marvellous magnificent terrific splendid
            inspiring exciting thrilling fascinating engaging captivating refreshing heartwarming satisfying rewarding
            memorable elegant graceful clever witty joyful cheerful uplifting friendly generous helpful thoughtful
            polished stylish glorious vibrant welcoming reliable
        """),
    },
    "test": {
        "negative": _words("""
            dreadful atrocious horrendous appalling abysmal lousy hideous ghastly revolting vile wretched abominable
            deplorable dismal gloomy monotonous tiresome insufferable intolerable inferior lame inept incompetent
            faulty rotten sickening obnoxious inadequate shameful upsetting infuriating tacky dirty senseless
            catastrophic unwatchable outrageous tragic distressing careless
        """),
        "positive": _words("""
            superb awesome incredible gorgeous stunning exceptional phenomenal spectacular exquisite adorable
            enchanting entertaining sublime flawless blissful dazzling admirable nice touching comfortable cosy
            sensational radiant ideal majestic breathtaking masterful valuable superior extraordinary attractive
            hilarious commendable triumphant soothing favourable likeable fun magical heavenly
        """),
    },
}

SUBJECTS: tuple[str, ...] = _words("""
    film hotel book concert lecture meal restaurant museum game course story show garden speech journey flat
    service event evening exhibition play album website tour party cafe visit song interview workshop
""")

TIMES: tuple[str, ...] = ("last week", "yesterday", "on Monday", "in March", "this time", "last year", "in the end")

# {s} and {o} are subjects, {t} is a time, {a} and {b} are words of one class; no "a" or "an" before a word
SENTENCES: tuple[str, ...] = _lines("""
    The {s} was {a}.
    The {s} we talked about {t} was {a}.
    As for the {s} {t}, it was {a}.
    I found the {s} {a}.
    My sister called the {s} {a} and {b}.
    Everybody says that the {s} was {a} {t}.
    What {a} news about the {s} {t}!
    The {s} was {a}, and the {o} was {b} too.
    From start to finish the {s} seemed {a} to us.
    Both the {s} and the {o} were {a} {t}.
    If you ask me, the {s} was rather {a} {t}.
    People described the {s} as {a}.
    It was {a}, this {s}, and so was the {o}.
    The {s} at the corner is {a}, really {b}.
""")

# --- pairs ---

# first/second/third/fourth: the first two say the same, so do the last two, and the halves differ
SENSES: dict[str, dict[str, tuple[str, ...]]] = {
    "train": {
        "noun": _words("""
            car/automobile/boat/ship doctor/physician/teacher/instructor sofa/couch/table/desk movie/film/song/tune
            shop/store/church/chapel road/street/river/stream gift/present/fine/penalty soldier/warrior/merchant/trader
            stone/rock/wood/timber picture/image/sound/noise error/mistake/success/triumph trousers/pants/hat/cap
            cellar/basement/attic/loft lawyer/attorney/farmer/grower jail/prison/palace/castle bug/insect/bird/fowl
            rug/carpet/curtain/drape clothes/garments/tools/implements taxi/cab/plane/aircraft
            feast/banquet/award/prize coast/shore/mountain/peak infant/baby/pensioner/retiree
            author/writer/singer/vocalist bicycle/bike/lorry/truck bottle/flask/box/crate
            quarrel/argument/wedding/marriage rubbish/garbage/jewels/gems policeman/cop/cook/chef
        """),
        "adjective": _words("""
            big/large/small/little fast/quick/slow/sluggish happy/glad/sad/sorrowful rich/wealthy/poor/penniless
            loud/noisy/quiet/silent brave/courageous/timid/cowardly sick/ill/healthy/fit strange/odd/normal/ordinary
            tired/weary/lively/energetic clean/spotless/messy/filthy thin/slim/fat/obese pretty/beautiful/ugly/hideous
            rude/impolite/polite/courteous lazy/idle/busy/occupied
        """),
        "verb": _words("""
            bought/purchased/sold/auctioned began/started/ended/finished repaired/mended/broke/smashed
            loved/adored/hated/detested hid/concealed/showed/displayed praised/complimented/criticized/condemned
            remembered/recalled/forgot/overlooked wanted/desired/feared/dreaded
        """),
    },
    "test": {
        "noun": _words("""
            house/residence/bridge/overpass student/pupil/king/monarch forest/woods/desert/wasteland
            thief/robber/priest/clergyman photograph/photo/letter/mail rabbit/bunny/dog/hound
            coat/jacket/shoes/footwear vacation/holiday/illness/disease cash/money/food/groceries
            dinner/supper/meeting/conference lad/boy/lady/woman ocean/sea/cave/cavern sailor/seaman/actor/performer
            job/employment/dance/ballet cup/mug/knife/blade town/city/storm/tempest airport/airfield/school/academy
            magazine/periodical/phone/telephone gun/pistol/clock/timepiece sweets/candy/cigarettes/tobacco
        """),
        "adjective": _words("""
            clever/smart/stupid/dumb angry/furious/calm/relaxed hungry/starving/thirsty/parched wet/soaked/dry/arid
            warm/hot/cold/chilly famous/renowned/unknown/obscure honest/truthful/deceitful/dishonest
            kind/compassionate/cruel/brutal amusing/funny/serious/solemn
        """),
        "verb": _words("""
            constructed/built/destroyed/demolished accepted/approved/rejected/refused lifted/raised/lowered/dropped
            attacked/assaulted/defended/protected
        """),
    },
}

# kind of word -> frames; {n} is a name and {t} a time; frames of one kind say the same
FRAMES: dict[str, tuple[str, ...]] = {
    "noun": _lines("""
        {n} talked about the {w} {t}.
        {t} {n} talked about the {w}.
        It was the {w} that {n} talked about {t}.
        What {n} talked about {t} was the {w}.
    """),
    "adjective": _lines("""
        {n} was {w} {t}.
        {t} {n} was {w}.
        It is true that {n} was {w} {t}.
        People say that {n} was {w} {t}.
    """),
    "verb": _lines("""
        {n} {w} it {t}.
        {t} {n} {w} it.
        It is true that {n} {w} it {t}.
        It was {n} who {w} it {t}.
    """),
}

NAMES: tuple[str, ...] = _words("""
    Anna Ben Carla David Emma Felix Grace Henry Iris Jack Kate Liam Mia Noah Olga Paul Rosa Sam Tina Victor
""")

# --- entities: all in small letters, so that capitals do not tell a place; _ joins the words of one name ---

ENTITIES: dict[str, dict[str, tuple[str, ...]]] = {
    "train": {
        "ANIMAL": _words("""
            dog cat horse cow sheep goat lion tiger elephant monkey giraffe zebra wolf fox rabbit mouse frog snake
            eagle owl penguin parrot sparrow shark whale dolphin beetle butterfly spider crocodile kangaroo donkey
            squirrel hamster gorilla leopard polar_bear guinea_pig killer_whale golden_retriever sea_lion
            siamese_cat fruit_bat king_cobra
        """),
        "FOOD": _words("""
            bread cheese butter pizza pasta rice soup apple banana tomato potato carrot onion sausage bacon cake
            chocolate honey yogurt salad sandwich hamburger noodles pancake biscuit strawberry cherry spinach cabbage
            mushroom omelette ham ice_cream fried_egg apple_pie peanut_butter french_toast roast_beef tomato_soup
            baked_beans chocolate_cake
        """),
        "PLACE": _words("""
            paris london berlin madrid tokyo moscow chicago boston france germany spain italy japan brazil mexico
            canada egypt india kenya texas california florida beach village airport harbour hospital library museum
            market park valley new_york hong_kong los_angeles south_africa buenos_aires railway_station town_hall
            shopping_mall north_korea rio_de_janeiro
        """),
    },
    "test": {
        "ANIMAL": _words("""
            llama antelope camel deer otter beaver hedgehog rhinoceros hippopotamus cheetah panther jaguar chimpanzee
            tortoise lizard octopus badger walrus swan pigeon crow falcon ostrich flamingo mosquito ant moose buffalo
            panda koala rat tarantula border_collie hermit_crab praying_mantis tasmanian_devil bull_terrier blue_jay
        """),
        "FOOD": _words("""
            lasagna spaghetti risotto steak meatballs mustard ketchup mayonnaise sushi curry burrito taco muffin
            croissant pudding popcorn cereal porridge broccoli cauliflower lettuce cucumber garlic pineapple peach
            raspberry lemon grapes walnut cinnamon tofu cheddar chicken_wings lemon_tart grilled_salmon
            scrambled_eggs maple_syrup corn_flakes
        """),
        "PLACE": _words("""
            rome vienna amsterdam athens lisbon prague stockholm dublin toronto sydney seattle houston poland norway
            portugal greece denmark argentina chile australia vietnam nigeria arizona oregon forest castle cathedral
            stadium university island desert suburb san_diego las_vegas saudi_arabia kuala_lumpur
            power_plant swimming_pool
        """),
    },
}

# what stands in the same spots and is no entity
DECOYS: dict[str, tuple[str, ...]] = {
    "train": _words("""
        hammer guitar chair lamp bicycle shirt trousers pencil mirror clock piano telephone computer blanket ladder
        umbrella happiness anger music history football chess freedom poverty justice marriage silence winter
        wedding_ring washing_machine steering_wheel vacuum_cleaner civil_law driving_licence tax_return
    """),
    "test": _words("""
        screwdriver violin sofa candle motorcycle jacket socks eraser curtain calendar trumpet television keyboard
        pillow bucket wallet sadness jealousy poetry physics tennis poker democracy wealth friendship divorce noise
        autumn toilet_paper sewing_kit brake_pedal lawn_mower criminal_trial insurance_policy birth_certificate
    """),
}

OUTSIDE = "O"

# {x} and {y} are entities or decoys; words are mentioned rather than used, so that any noun fits any spot
CLUES: tuple[str, ...] = _lines("""
    the answer was {x}
    {x} was the answer yesterday
    the card in her hand said {x}
    he wrote {x} on the board
    she typed {x} into the search box
    {x} and {y} were the next two words
    my first guess was {x} but {y} was right
    we talked about {x} yesterday
    after {x} the teacher wrote {y} under it
    nobody in the team had heard of {x} before
    {x} , {y} and nothing else was on the list
    can you spell {x} without a mistake ?
    the clue for {x} was easier than the one for {y}
    in the second round they had to draw {x}
    the word {x} came up again last week
    they looked up {x} in the dictionary
    it says {x} here , not {y}
""")


def generate(config: str, split: str) -> Table:
    """Generates one part of one data set; the same rows on every call, machine and day.

    Args:
        config: A key of `SIZES`; columns and labels are those of the task ``demo_<config>``.
        split: ``train`` or ``test``.

    Raises:
        TransferlabError: No such configuration or split.
    """
    if config not in SIZES:
        raise TransferlabError(_unknown("configuration", config, tuple(SIZES)))
    if split not in SIZES[config]:
        raise TransferlabError(_unknown("split", split, tuple(SIZES[config])))
    rng = random.Random(f"{config}/{split}")
    makers = {"sentences": _sentences, "pairs": _pairs, "entities": _entities, "topics": _topics}
    makers |= {"relations": relations, "answers": answers, "dates": dates, "slots": requests}
    rows = _collect(makers[config](rng, split), SIZES[config][split])
    rng.shuffle(rows)
    task = TASKS[f"demo_{config}"]
    names = (*task.text, task.label, *(["intent"] if task.kind == "slots" else []))
    return Table.from_dict(dict(zip(names, zip(*rows, strict=True), strict=True)), {task.label: task.labels})


def _unknown(what: str, name: str, known: tuple[str, ...]) -> str:
    return f"embedded data: no {what} {name!r}{near(name, known)}; there are {', '.join(known)}."


def _collect(twins: Iterator[list[Row]], size: int) -> list[Row]:
    """Takes groups of twins until there are `size` rows; leaves out a group that repeats a row."""
    rows: list[Row] = []
    seen: set[str] = set()
    while len(rows) < size:
        group = next(twins)
        keys = {repr(row[:-1]) for row in group}
        if len(keys) == len(group) and not keys & seen:
            seen |= keys
            rows += group
    return rows[:size]


def _deck(rng: random.Random, items: Sequence[str]) -> Iterator[str]:
    """Deals the items in random order again and again, so that each comes equally often."""
    while True:
        yield from rng.sample(items, len(items))


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _sentences(rng: random.Random, split: str) -> Iterator[list[Row]]:
    templates = _deck(rng, SENTENCES)
    decks = [_deck(rng, SENTIMENT[split][label]) for label in TASKS["demo_sentences"].labels]
    while True:
        template, time = next(templates), rng.choice(TIMES)
        subject, other = rng.sample(SUBJECTS, 2)
        yield [
            (_sentence(template.format(s=subject, o=other, t=time, a=next(deck), b=next(deck))), number)
            for number, deck in enumerate(decks)
        ]


def _pairs(rng: random.Random, split: str) -> Iterator[list[Row]]:
    """Four twins share frames, name and time: two premises, each with the hypothesis that says the same and the other.

    So every premise and every hypothesis is as frequent under one label as under the other.
    """
    kinds = {entry: kind for kind, entries in SENSES[split].items() for entry in entries}
    entries = _deck(rng, tuple(kinds))
    while True:
        entry = next(entries)
        words = entry.split("/")
        halves = rng.sample(words[:2], 2), rng.sample(words[2:], 2)
        first, second = rng.sample(FRAMES[kinds[entry]], 2)
        name, time = rng.choice(NAMES), rng.choice(TIMES)
        yield [
            (
                _sentence(first.format(n=name, t=time, w=here[0])),
                _sentence(second.format(n=name, t=time, w=there[1])),
                int(here is there),
            )
            for here in halves
            for there in halves
        ]


def _entities(rng: random.Random, split: str) -> Iterator[list[Row]]:
    """Four twins share the clue: its first spot goes through all types and the decoys, a second spot is independent."""
    clues = _deck(rng, CLUES)
    decks = {name: _deck(rng, words) for name, words in {**ENTITIES[split], OUTSIDE: DECOYS[split]}.items()}
    while True:
        clue, others = next(clues), rng.sample(tuple(decks), len(decks))
        yield [_tagged(clue, {"{x}": name, "{y}": other}, decks) for name, other in zip(decks, others, strict=True)]


def _topics(rng: random.Random, split: str) -> Iterator[list[Row]]:
    """The clues of the entities as plain sentences; the labels are the types of what is named, none for decoys."""
    labels = TASKS["demo_topics"].labels
    for group in _entities(rng, split):
        rows = []
        for tokens, tags in group:
            names = {TASKS["demo_entities"].labels[tag].partition("-")[2].lower() for tag in tags}
            rows.append((_sentence(" ".join(tokens)), [n for n, label in enumerate(labels) if label in names]))
        yield rows


def _tagged(clue: str, spots: dict[str, str], decks: dict[str, Iterator[str]]) -> Row:
    """Fills the spots of a clue with words of their types; returns all words and the numbers of their IOB2 tags."""
    labels = TASKS["demo_entities"].labels
    tokens: list[str] = []
    tags: list[int] = []
    for piece in clue.split():
        name = spots.get(piece, OUTSIDE)
        words = next(decks[name]).split("_") if piece in spots else [piece]
        names = [OUTSIDE] * len(words) if name == OUTSIDE else [f"B-{name}"] + [f"I-{name}"] * (len(words) - 1)
        tokens += words
        tags += [labels.index(tag) for tag in names]
    return tokens, tags
