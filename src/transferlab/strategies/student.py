"""A student that begins with layers of its teacher."""

from typing import cast

from transferlab.encoders import Encoder, EncoderConfig
from transferlab.encoders.layers import layer_list
from transferlab.ground.errors import TransferlabError
from transferlab.strategies.base import Strategy
from transferlab.strategies.teacher import Teacher


def copy_layers(encoder: Encoder, config: EncoderConfig, teacher: Teacher, case: bool) -> None:
    """Puts the teacher's embeddings and the layers that `keep_layers` picks into the student.

    Args:
        encoder: The student.
        config: Which layers it keeps.
        teacher: The teacher.
        case: Whether the student is told capitals.

    Raises:
        TransferlabError: The student is no shallower copy of the teacher.
    """
    if teacher.case != case:
        raise TransferlabError(
            "model.from_teacher: the student takes the embeddings of its teacher, and one of the two is told capitals; "
            f"set data.case: {str(teacher.case).lower()}, as the teacher has it."
        )
    source = teacher.module.encoder.backbone if isinstance(teacher.module, Strategy) else None
    # numbers by now
    picks = cast(tuple[int, ...], config.keep_layers)
    name = "" if source is None else layer_list(source)[0]
    if source is None or not picks or teacher.encoder.name != config.name or not name:
        raise TransferlabError(
            "model.from_teacher: the student must be the teacher's encoder with encoder.keep_layers, and the "
            "teacher a run of full fine-tuning."
        )
    wanted = encoder.backbone.state_dict()
    given = source.state_dict()
    for key in wanted:
        origin = key
        if key.startswith(f"{name}."):
            number, _, rest = key[len(name) + 1 :].partition(".")
            origin = f"{name}.{picks[int(number)]}.{rest}"
        if origin not in given or given[origin].shape != wanted[key].shape:
            raise TransferlabError(f"model.from_teacher: teacher and student do not fit: {origin} is missing there.")
        wanted[key] = given[origin]
    encoder.backbone.load_state_dict(wanted)
