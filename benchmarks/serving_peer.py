"""What one would write oneself: transformers' pipeline behind FastAPI."""

import sys
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Question(BaseModel):
    """A text."""

    text: str


def main(folder: str, port: int) -> None:
    """Serves an encoder with a head for two classes.

    Args:
        folder: The encoder's.
        port: To listen on, of this machine alone.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    torch.set_num_threads(1)
    # the head is new and its answers mean nothing; it costs what a trained one does
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    answer: Any = pipeline(
        "text-classification", model=model, tokenizer=AutoTokenizer.from_pretrained(folder), top_k=None
    )
    app = FastAPI()

    @app.post("/predict")
    def predict(question: Question) -> Any:
        return answer([question.text], truncation=True)[0]

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
