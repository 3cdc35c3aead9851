"""A BiLSTM that is called like a transformers encoder: student of a distillation, or baseline without transfer."""

from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput


class RecurrentBackbone(nn.Module):
    """Word embeddings and a bidirectional LSTM.

    Args:
        vocabulary: Number of token ids.
        size: Width of each direction.
        width: Width of the embeddings; None: the same.
    """

    def __init__(self, vocabulary: int, size: int, width: int | None = None) -> None:
        super().__init__()
        self.embeddings: nn.Module = nn.Embedding(vocabulary, width or size)
        self.lstm = nn.LSTM(width or size, size, batch_first=True, bidirectional=True)
        self.config = SimpleNamespace(hidden_size=2 * size, num_hidden_layers=1, model_type="bilstm")

    @classmethod
    def over(cls, file: Path, size: int) -> "RecurrentBackbone":
        """A BiLSTM over static vectors, which are its embeddings at the start.

        Args:
            file: Holds ``vectors``, ``[tokens, width]``.
            size: Width of each direction.
        """
        vectors = load_file(file)["vectors"]
        made = cls(len(vectors), size, vectors.shape[1])
        with torch.no_grad():
            made.embeddings.weight.copy_(vectors)  # type: ignore[operator]
        return made

    def get_input_embeddings(self) -> nn.Module:
        """The word embeddings, by the name that transformers gives them."""
        return self.embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Takes other word embeddings."""
        self.embeddings = value

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> BaseModelOutput:
        """Encodes ``[batch, length]`` to ``[batch, length, 2 * size]``; segments are not looked at."""
        states = run_lstm(self.lstm, self.embeddings(input_ids), attention_mask)
        return BaseModelOutput(last_hidden_state=states, hidden_states=(states, states))


def run_lstm(lstm: nn.LSTM, inputs: Tensor, mask: Tensor) -> Tensor:
    """Runs an LSTM over the unpadded part of ``[batch, length, width]``; padding comes out as zeros."""
    lengths = mask.sum(1).clamp(min=1).cpu()
    packed = nn.utils.rnn.pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    states, _ = nn.utils.rnn.pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=inputs.shape[1])
    return torch.as_tensor(states)
