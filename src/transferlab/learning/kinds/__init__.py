"""How each kind of task is learned and judged; a new kind is a file here and one of the same name in `tasks.kinds`."""

from transferlab.learning.kinds.base import Learned
from transferlab.learning.kinds.classification import Classification
from transferlab.learning.kinds.multilabel import Multilabel
from transferlab.learning.kinds.qa import Questions
from transferlab.learning.kinds.regression import Regression
from transferlab.learning.kinds.relation import Relation
from transferlab.learning.kinds.slots import Slots
from transferlab.learning.kinds.tagging import Tagging
from transferlab.learning.kinds.text import Written
from transferlab.tasks.spec import Kind

KINDS: dict[Kind, Learned] = {
    "classification": Classification(),
    "regression": Regression(),
    "tagging": Tagging(),
    "multilabel": Multilabel(),
    "relation": Relation(),
    "qa": Questions(),
    "text": Written(),
    "slots": Slots(),
}
"""Kind of task to how it is learned."""
