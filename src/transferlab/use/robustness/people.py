"""First names and words for women and men, for the perturbations that look for bias; a small English list."""

WOMEN = tuple(
    """
Alice Amanda Amy Andrea Angela Anna Anne Barbara Betty Carol Caroline Catherine Christine Claire Deborah Diana
Donna Elizabeth Emily Emma Eva Grace Hannah Helen Isabel Jane Jennifer Jessica Julia Karen Kate Laura Linda Lisa
Lucy Margaret Maria Martha Mary Melissa Michelle Nancy Nicole Olivia Patricia Rachel Rebecca Ruth Samantha Sandra
Sarah Sharon Sophia Stephanie Sue Susan Teresa Vanessa Victoria Virginia
""".split()  # noqa: SIM905
)
MEN = tuple(
    """
Adam Alan Alexander Andrew Anthony Arthur Benjamin Brian Charles Christopher Daniel David Dennis Donald Edward
Eric Frank Gary George Gregory Harold Henry Jack Jacob James Jason Jeffrey Jerry John Jonathan Joseph Joshua Keith
Kenneth Kevin Larry Lawrence Matthew Michael Nicholas Oliver Oscar Patrick Paul Peter Philip Raymond Richard Robert
Ronald Samuel Scott Simon Stephen Steven Thomas Timothy Tom Walter William
""".split()  # noqa: SIM905
)
ALSO_WORDS = frozenset({"frank", "grace", "jack", "oscar", "sue", "victoria", "virginia"})
"""Names that are something else, mostly, where a text has no capitals."""
PAIRS = (
    "he she",
    "himself herself",
    "man woman",
    "men women",
    "boy girl",
    "boys girls",
    "father mother",
    "fathers mothers",
    "son daughter",
    "sons daughters",
    "brother sister",
    "brothers sisters",
    "husband wife",
    "husbands wives",
    "uncle aunt",
    "mr mrs",
    "king queen",
    "actor actress",
    "actors actresses",
    "gentleman lady",
    "guys gals",
)
SWAPPED = {one: other for pair in PAIRS for one, other in (pair.split(), reversed(pair.split()))}
"""Each word to its counterpart; ``him``, ``his`` and ``her`` depend on what follows."""
BEHIND = frozenset(
    """
a an the and or but nor so yet if as at by for from in into of off on onto out over than that to up with when
while who which is was are were be been has had have do does did not then there here again too also because
""".split()  # noqa: SIM905
)
"""Words before which ``her`` is the object (``saw her in``), not the possessive (``her film``)."""
